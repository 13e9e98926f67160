"""DRF views whose handlers are coroutines: for answers that stream.

Everything before the handler (who calls, scope, limits) is DRF's own and runs in a thread.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView


class AsyncView(APIView):
    """All handlers of a subclass are `async def`."""

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        wrapped: Request = self.initialize_request(request, *args, **kwargs)
        self.request = wrapped
        self.headers = self.default_response_headers
        try:
            await sync_to_async(self.initial)(wrapped, *args, **kwargs)
            name = (wrapped.method or "").lower()
            handler = getattr(self, name, None) if name in self.http_method_names else None
            if handler is None:
                self.http_method_not_allowed(wrapped)
            response = await handler(wrapped, *args, **kwargs)  # type: ignore[misc]
        except Exception as exc:
            response = self.handle_exception(exc)
        self.response = self.finalize_response(wrapped, response, *args, **kwargs)
        return self.response


class Closing:
    """An iterator of bytes whose first chunk is there; whoever stops iterating closes it."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield self._first
            async for chunk in self._rest:
                yield chunk
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        with suppress(RuntimeError):  # it is being closed by the loop already
            await self._rest.aclose()  # type: ignore[attr-defined]

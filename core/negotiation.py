"""Which of its renderers a view answers with."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request


class OneAnswer(DefaultContentNegotiation):
    """A view that has one kind of answer gives it, whatever `Accept` or `?format=` say.

    Clients send `Accept` without meaning it; 406 would keep the answer from them.
    """

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        if len(renderers) == 1:
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)

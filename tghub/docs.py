"""The pages that describe the API, and the schema that they draw."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)
from rest_framework.request import Request


class _Options:
    """Answers OPTIONS as every other URL: a page's template cannot show what a view is like."""

    allowed_methods: list[str]

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


class SchemaView(_Options, SpectacularAPIView):  # type: ignore[misc]
    pass


class DocsView(_Options, SpectacularSwaggerSplitView):  # type: ignore[misc]
    pass


class RedocView(_Options, SpectacularRedocView):  # type: ignore[misc]
    pass

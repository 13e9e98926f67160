"""Scopes for DRF views. A view that names no scope serves nobody."""

import logging
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.callers import caller_of
from core.errors import Forbidden

logger = logging.getLogger(__name__)


class HasScope(BasePermission):
    """Asks for `view.required_scope`: a scope, or `{"GET": "read", "POST": "send"}`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        caller = caller_of(request)
        if request.method == "OPTIONS" or request.method not in view.allowed_methods:
            return True  # told what is allowed, which is no secret
        scope = scope_for(view, request.method or "")
        if scope is None:
            logger.error("%s names no scope for %s", type(view).__name__, request.method)
            raise Forbidden("This is forbidden.")
        caller.require(scope)
        return True


def scope_for(view: Any, method: str) -> str | None:
    """Return the scope that `view` asks for when called by `method`, or None."""
    scope = getattr(view, "required_scope", None)
    if isinstance(scope, dict):
        scope = scope.get("GET" if method == "HEAD" else method)
    return scope if isinstance(scope, str) else None

"""Messaging over `/api/v3`, on the caller's stored sessions."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as fields
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import caller_of, client_ip
from accounts.models import Scope, record
from core.errors import Unauthorized
from core.validation import is_session_name, validated
from sessions_app.lookup import require_ready, visible_sessions
from sessions_app.messages import operations, pacing
from sessions_app.messages.stored import StoredMessenger
from sessions_app.models import TelegramSession
from sessions_app.schema import USER, responses

HEADER = "X-Telegram-Username"
SESSION = [
    OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, description="The session's name."),
    OpenApiParameter(
        "session_id", str, description=f"The session's name, instead of {HEADER}; also in a body."
    ),
    USER,
]


class StoredView(operations.Operation):
    """A view over one stored session of the caller's, found before anything else is looked at."""

    required_scope: ClassVar[str | dict[str, str]] = Scope.SEND.value
    session: TelegramSession

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.session = named_session(request)

    @property
    def messenger(self) -> StoredMessenger:
        return StoredMessenger(
            self.session.pk,
            user_id=caller_of(self.request).user.pk,
            idempotency_key=self.request.headers.get("Idempotency-Key"),
        )


def named_session(request: Request) -> TelegramSession:
    """Return the logged-in session that a request names, by header, query or body.

    Raises Unauthorized when it names none, or one that is unknown or not logged in.
    """
    name: Any = request.headers.get(HEADER)
    if name is not None:
        # HTTP carries bytes; clients send UTF-8.
        name = name.encode("latin-1", "replace").decode("utf-8", "replace")
    else:
        name = request.query_params.get("session_id")
    if name is None and isinstance(request.data, dict):
        name = request.data.get("session_id")
    if not name:
        raise Unauthorized(f"Missing {HEADER} header", code="missing_username")
    session = None
    if isinstance(name, str) and is_session_name(name):
        sessions = visible_sessions(caller_of(request), request.query_params.get("user"))
        session = sessions.filter(name=name).first()
    if session is None:
        raise Unauthorized(
            "User not authenticated: there is no such session.", code="session_not_found"
        )
    require_ready(session)
    return session


stored = extend_schema(tags=["messages"], parameters=SESSION)


@stored
class StoredSendView(StoredView, operations.SendOperation):
    pass


@stored
class StoredSendWithFileView(StoredView, operations.SendFilesOperation):
    pass


@stored
class StoredEditView(StoredView, operations.EditOperation):
    pass


@stored
class StoredForwardView(StoredView, operations.ForwardOperation):
    pass


@stored
class StoredDeleteView(StoredView, operations.DeleteOperation):
    pass


@stored
class StoredReactView(StoredView, operations.ReactOperation):
    pass


@stored
class StoredPinView(StoredView, operations.PinOperation):
    pass


@stored
class StoredUnpinView(StoredView, operations.UnpinOperation):
    pass


@stored
class StoredReadView(StoredView, operations.ReadOperation):
    pass


@stored
class StoredTypingView(StoredView, operations.TypingOperation):
    pass


@stored
class StoredJoinView(StoredView, operations.JoinOperation):
    pass


@stored
class StoredLeaveView(StoredView, operations.LeaveOperation):
    pass


@stored
class StoredMembersView(StoredView, operations.MembersOperation):
    required_scope = Scope.READ.value


@stored
class StoredInviteLinksView(StoredView, operations.InviteLinksOperation):
    required_scope: ClassVar[str | dict[str, str]] = {
        "GET": Scope.READ.value,
        "POST": Scope.SEND.value,
        "DELETE": Scope.SEND.value,
    }


class LimitsInput(fields.Serializer[Any]):
    """What is null goes back to the hub's setting; 0 is no limit."""

    interval_seconds = fields.FloatField(
        min_value=0, max_value=86400, required=False, allow_null=True
    )
    daily_cap = fields.IntegerField(
        min_value=0, max_value=1_000_000, required=False, allow_null=True
    )


class LimitsOutput(fields.Serializer[Any]):
    interval_seconds = fields.FloatField()
    daily_cap = fields.IntegerField()
    sent_today = fields.IntegerField()


@stored
class StoredLimitsView(StoredView):
    required_scope: ClassVar[str | dict[str, str]] = {
        "GET": Scope.READ.value,
        "PATCH": Scope.SESSIONS.value,
    }

    @extend_schema(responses=responses(LimitsOutput))
    def get(self, request: Request) -> Response:
        """Tell how fast and how much the session may send."""
        return Response(pacing.limits_of(self.session.pk))

    @extend_schema(request=LimitsInput, responses=responses(LimitsOutput, 400))
    def patch(self, request: Request) -> Response:
        """Set the session's pace (seconds between messages) and its cap of messages per day."""
        changes = validated(LimitsInput, request.data)
        answer = pacing.set_limits(self.session.pk, **changes)
        caller = caller_of(request)
        record(
            "session.limits",
            user=caller.user,
            key=caller.key,
            target=self.session.name,
            ip=client_ip(request._request),
            **changes,
        )
        return Response(answer)

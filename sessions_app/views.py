"""The hub surface: phone login, sessions, sending, restoring."""

import logging
from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.callers import Caller, caller_of, client_ip
from accounts.models import Scope, record
from core.validation import validated
from sessions_app import lifecycle, login, lookup, serializers
from sessions_app.live import connected_sessions, session_facts, session_status, user_info
from sessions_app.messaging import send_message
from sessions_app.models import LoginState, LoginStep, TelegramSession
from sessions_app.restore import restore_all
from sessions_app.schema import IDEMPOTENCY_KEY, USER, responses

logger = logging.getLogger(__name__)

TWO_FACTOR = {
    "status": "2fa_required",
    "message": "Two-factor authentication is enabled. Please provide your password",
}


class HubView(APIView):
    """A view of the hub surface; `self.caller` is who asks, `self.username` whose sessions."""

    required_scope: ClassVar[str | dict[str, str]]

    @property
    def caller(self) -> Caller:
        return caller_of(self.request)

    @property
    def username(self) -> str | None:
        return self.request.query_params.get("user")

    def session(self, name: str) -> TelegramSession:
        return lookup.find_session(self.caller, name, self.username)

    def audit(self, action: str, session: str, **details: Any) -> None:
        record(
            action,
            user=self.caller.user,
            key=self.caller.key,
            target=session,
            ip=client_ip(self.request._request),
            **details,
        )


class RootView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(tags=["hub"], auth=[], responses=serializers.RootOutput)
    def get(self, request: Request) -> Response:
        """Tell what runs here."""
        return Response(
            {
                "status": "running",
                "message": "Telegram API Hub is running",
                "version": settings.VERSION,
                "endpoints": ENDPOINTS,
            }
        )


ENDPOINTS = {
    "health": "GET /health",
    "login_start": "POST /login/start",
    "login_code": "POST /login/code",
    "login_password": "POST /login/password",
    "login_resend": "POST /login/resend",
    "login_cancel": "POST /login/cancel",
    "logout": "POST /logout",
    "sessions": "GET /sessions",
    "session_status": "GET /session/{session_id}/status",
    "session_reconnect": "POST /session/{session_id}/reconnect",
    "session_destroy": "DELETE /session/{session_id}",
    "session_import": "POST /session/import",
    "session_export": "POST /session/{session_id}/export",
    "send_message": "POST /message/send",
    "messages": "/api/v3/messages/…",
    "stateless_login": "POST /auth/send_code",
    "restore_sessions": "POST /admin/restore-sessions",
    "me": "GET /api/v3/me",
    "qr_login": "POST /api/v3/auth/qr",
    "search_dialogs": "GET /api/v3/search/dialogs",
    "folders": "GET /api/v3/folders",
    "history": "GET /api/v3/history/{dialog_id}",
    "search_messages": "GET /api/v3/search/messages",
    "search_dialog_messages": "GET /api/v3/search/messages/{dialog_id}",
    "files": "GET /api/v3/files/{uuid}",
    "settings": "GET, PATCH /api/v3/settings",
    "skill": "GET /skill.md",
    "docs": "GET /docs",
    "schema": "GET /api/schema",
}


class LoginStartView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["login"],
        parameters=[USER],
        request=serializers.StartLoginInput,
        responses=responses(serializers.LoginStartedOutput, 400, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Have Telegram send a login code, or go on with the login under way."""
        body = validated(serializers.StartLoginInput, request.data)
        session = lookup.session_for_login(self.caller, body["session_id"], self.username)
        answer = login.start_login(session, phone=body["phone_number"], resend=body["resend"])
        if answer.login is not None:
            self.audit("login.started", session.name)
        return Response(_code_sent(answer.login))


class LoginResendView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["login"],
        parameters=[USER],
        request=serializers.SessionInput,
        responses=responses(serializers.LoginStartedOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Have the code of the login under way sent again, by the next way."""
        body = validated(serializers.SessionInput, request.data)
        answer = login.resend_code(self.session(body["session_id"]))
        return Response(_code_sent(answer.login))


def _code_sent(state: LoginState | None) -> dict[str, Any]:
    """Return the answer for a login that waits: for its code, or resumed for its password."""
    if state is None:
        return {"status": "already_logged_in", "message": "Session is already logged in"}
    if state.step == LoginStep.WAIT_PASSWORD:
        return TWO_FACTOR
    wait = None
    if state.resend_at is not None:
        wait = max(0, round((state.resend_at - timezone.now()).total_seconds()))
    return {
        "status": "success",
        "message": "Verification code sent to your phone",
        "phone_code_hash": state.phone_code_hash,
        "type": state.type,
        "next_type": state.next_type or None,
        "timeout": wait,
    }


class LoginCodeView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["login"],
        parameters=[USER],
        request=serializers.LoginCodeInput,
        responses=responses(serializers.LoginOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Log in with the code; an account with a cloud password wants that next."""
        body = validated(serializers.LoginCodeInput, request.data)
        session = self.session(body["session_id"])
        answer = login.submit_code(
            session, code=body["phone_code"], phone_code_hash=body.get("phone_code_hash")
        )
        return _login_answer(self, answer)


class LoginPasswordView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["login"],
        parameters=[USER],
        request=serializers.LoginPasswordInput,
        responses=responses(serializers.LoginOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Finish the login with the account's cloud password."""
        body = validated(serializers.LoginPasswordInput, request.data)
        session = self.session(body["session_id"])
        return _login_answer(self, login.submit_password(session, password=body["password"]))


def _login_answer(view: HubView, answer: login.LoginAnswer) -> Response:
    if answer.login is not None:
        return Response(TWO_FACTOR)
    assert answer.session.account is not None
    view.audit("session.login", answer.session.name, account=answer.session.account.user_id)
    return Response(
        {
            "status": "success",
            "message": "Login successful",
            "user": user_info(answer.session.account),
        }
    )


class LoginCancelView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["login"],
        parameters=[USER],
        request=serializers.SessionInput,
        responses=responses(serializers.StatusOutput, 400, 404, 409),
    )
    def post(self, request: Request) -> Response:
        """Give up the login under way."""
        body = validated(serializers.SessionInput, request.data)
        session = self.session(body["session_id"])
        login.cancel_login(session)
        self.audit("login.cancelled", session.name)
        return Response({"status": "success", "message": "Login cancelled"})


class LogoutView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["login"],
        parameters=[USER],
        request=serializers.SessionInput,
        responses=responses(serializers.StatusOutput, 400, 404, 502),
    )
    def post(self, request: Request) -> Response:
        """Log out at Telegram, where the auth key dies, and keep the session's name."""
        body = validated(serializers.SessionInput, request.data)
        session = self.session(body["session_id"])
        lifecycle.log_out(session)
        self.audit("session.logout", session.name)
        return Response({"status": "success", "message": "Logged out successfully"})


class SessionListView(HubView):
    required_scope = Scope.READ.value

    @extend_schema(
        tags=["sessions"],
        parameters=[USER],
        responses=responses(serializers.SessionListOutput, 404),
    )
    def get(self, request: Request) -> Response:
        """List the sessions, from memory and database; Telegram is asked nothing."""
        found = session_list(self.caller, self.username)
        return Response({"status": "success", "total_sessions": len(found), "sessions": found})


def session_list(caller: Caller, username: str | None = None) -> list[Any]:
    connected = connected_sessions()
    rows = lookup.visible_sessions(caller, username).select_related("account", "login")
    return [session_facts(session, connected) for session in rows.order_by("pk")]


class SessionStatusView(HubView):
    required_scope = Scope.READ.value

    @extend_schema(
        tags=["sessions"],
        parameters=[USER],
        responses=responses(serializers.SessionStatusOutput, 400, 404),
    )
    def get(self, request: Request, session_id: str) -> Response:
        """Tell how a session stands, from memory and database."""
        return Response(session_status(self.session(session_id)))


class SessionView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["sessions"],
        parameters=[USER],
        responses=responses(serializers.StatusOutput, 400, 404, 502),
    )
    def delete(self, request: Request, session_id: str) -> Response:
        """Log out at Telegram and delete every trace of the session here."""
        session = self.session(session_id)
        lifecycle.destroy(session)
        self.audit("session.destroyed", session_id)
        return Response(
            {"status": "success", "message": f"Session {session_id} destroyed completely"}
        )


class SessionReconnectView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["sessions"],
        parameters=[USER],
        request=None,
        responses=responses(serializers.StatusOutput, 400, 404, 502),
    )
    def post(self, request: Request, session_id: str) -> Response:
        """Connect the session to Telegram again, when it is not connected."""
        session = self.session(session_id)
        reconnected = lifecycle.reconnect(session)
        self.audit("session.reconnected", session_id)
        text = "Session reconnected successfully" if reconnected else "Session is already connected"
        return Response({"status": "success", "message": text})


class MessageSendView(HubView):
    required_scope = Scope.SEND.value

    @extend_schema(
        tags=["messages"],
        parameters=[USER, IDEMPOTENCY_KEY],
        request=serializers.SendMessageInput,
        responses=responses(serializers.SentMessageOutput, 400, 404, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Send a text message in the session's name."""
        body = validated(serializers.SendMessageInput, request.data)
        session = lookup.find_ready_session(self.caller, body["session_id"], self.username)
        sent = send_message(
            session,
            chat_id=body["chat_id"],
            text=body["message"],
            user_id=self.caller.user.pk,
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        return Response({"status": "success", "message": "Message sent successfully", **sent})


class RestoreSessionsView(HubView):
    required_scope = Scope.ADMIN.value

    @extend_schema(tags=["admin"], request=None, responses=responses(serializers.RestoredOutput))
    def post(self, request: Request) -> Response:
        """Connect every logged-in session of every user, and wait for it."""
        restored = sum(result.restored for result in restore_all())
        self.audit("sessions.restored", "", restored=restored)
        return Response(
            {
                "status": "success",
                "message": f"Restored {restored} sessions from database",
                "restored_count": restored,
            }
        )


class MeView(HubView):
    required_scope = Scope.READ.value

    @extend_schema(tags=["hub"], responses=responses(serializers.MeOutput))
    def get(self, request: Request) -> Response:
        """Tell the key's user, scopes and sessions."""
        caller = self.caller
        key = caller.key
        return Response(
            {
                "user": caller.user.get_username(),
                "key": None
                if key is None
                else {
                    "name": key.name,
                    "prefix": key.prefix,
                    "expires_at": key.expires_at,
                    "last_used_at": key.last_used_at,
                },
                "scopes": [scope for scope in Scope.values if scope in caller.scopes],
                "sessions": session_list(caller),
                "default_session": lookup.default_session_name(caller),
            }
        )

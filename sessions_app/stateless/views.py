"""The stateless surface: logging in by session string, reading, writing, files, groups."""

from typing import Any
from urllib.parse import quote

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Scope
from core import limits
from core.errors import Conflict, NotFound, Unauthorized
from core.validation import validated
from engine import telegram
from engine.methods import auth, media
from engine.store import Device
from engine.wire import Carried
from sessions_app.messages import operations
from sessions_app.messages.asynchronous import AsyncView, Closing
from sessions_app.messages.serializers import MESSAGE_ID, ChatInput
from sessions_app.schema import responses
from sessions_app.stateless import reading, serializers, token
from sessions_app.stateless.authentication import (
    HEADER,
    HasSessionString,
    SessionStringAuthentication,
    SessionThrottle,
)
from sessions_app.stateless.carrying import CarriedMessenger


class CarriedView(APIView):
    """A view for whoever carries a session string; no key is asked for."""

    authentication_classes = [SessionStringAuthentication]
    permission_classes = [HasSessionString]
    throttle_classes = [SessionThrottle]
    during_login = False
    _messenger: CarriedMessenger | None = None

    @property
    def token(self) -> token.Token:
        held = self.request.auth
        assert isinstance(held, token.Token)
        return held

    @property
    def messenger(self) -> CarriedMessenger:
        if self._messenger is None:
            key = self.request.headers.get("Idempotency-Key")
            self._messenger = CarriedMessenger(self.token.carried, key)
        return self._messenger

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Hand out a new string where the old one's key will be retired, or the session moved."""
        done = super().finalize_response(request, response, *args, **kwargs)
        if done.status_code >= 400 or self.token.login is not None:
            return done
        now = self._messenger.carried if self._messenger is not None else self.token.carried
        if text := token.renewed(request.headers[HEADER].strip(), self.token, now):
            done[HEADER] = text
        return done


@extend_schema(tags=["stateless"])
class SendCodeView(APIView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        request=serializers.SendCodeInput,
        responses=responses(serializers.LoginStepOutput, 400, 502),
    )
    def post(self, request: Request) -> Response:
        """Have Telegram send a login code; the answer is the beginning of a session string."""
        body = validated(serializers.SendCodeInput, request.data)
        limits.hit("send_code", "phone", body["phone"])
        fresh = Carried(body["api_id"], body["api_hash"], device=Device())
        sent, carried = telegram.carry(fresh, auth.send_code, phone=body["phone"])
        started = token.logging_in(
            carried, phone=body["phone"], phone_code_hash=sent["phone_code_hash"]
        )
        return Response(
            {
                "message": "Verification code sent",
                "next_step": "verify_code",
                "session_string": token.mint(started),
            }
        )


@extend_schema(tags=["stateless"])
class VerifyCodeView(CarriedView):
    during_login = True

    @extend_schema(
        request=serializers.VerifyCodeInput,
        responses=responses(serializers.LoginStepOutput, 400, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Log in with the code; an account with a cloud password wants that next."""
        body = validated(serializers.VerifyCodeInput, request.data)
        login = _login_at(self.token, "code")
        limits.hit("try_code", "phone", login.phone)
        answer = self.messenger.call(
            auth.sign_in,
            phone=login.phone,
            code=body["code"],
            phone_code_hash=login.phone_code_hash,
        )
        if answer["state"] == "wait_password":
            return Response(
                {
                    "message": "Two-factor authentication is enabled: the password is needed",
                    "next_step": "verify_password",
                    "session_string": token.mint(
                        token.wants_password(self.token, self.messenger.carried)
                    ),
                }
            )
        return _completed(self.messenger.carried)


@extend_schema(tags=["stateless"])
class VerifyPasswordView(CarriedView):
    during_login = True

    @extend_schema(
        request=serializers.VerifyPasswordInput,
        responses=responses(serializers.LoginStepOutput, 400, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Finish the login with the cloud password."""
        body = validated(serializers.VerifyPasswordInput, request.data)
        login = _login_at(self.token, "password")
        limits.hit("try_password", "phone", login.phone)
        self.messenger.call(auth.check_password, password=body["password"])
        return _completed(self.messenger.carried)


def _login_at(held: token.Token, step: str) -> token.Login:
    """Return the login under way; raises Conflict unless `step` is what it waits for."""
    if held.login is None:
        raise Conflict("This session is logged in already.", code="already_logged_in")
    if held.login.step != step:
        raise Conflict(f"The login waits for the {held.login.step}.", code="wrong_login_step")
    return held.login


def _completed(carried: Carried) -> Response:
    return Response(
        {
            "message": "Login successful",
            "next_step": "completed",
            "session_string": token.mint(token.Token(carried)),
        }
    )


@extend_schema(tags=["stateless"])
class TwoFactorView(CarriedView):
    @extend_schema(
        request=serializers.TwoFactorInput,
        responses=responses(serializers.TwoFactorOutput, 400, 409, 502),
    )
    def post(self, request: Request) -> Response:
        """Set, change or (without a new one) remove the account's cloud password."""
        body = validated(serializers.TwoFactorInput, request.data)
        limits.hit("try_password", "carried", self.token.name)
        body["hint"] = body["hint"] or ""
        answer = self.messenger.call(auth.edit_2fa, **body)
        text = _PASSWORD_TEXTS[answer["state"]]
        return Response({"message": text, "state": answer["state"]})


_PASSWORD_TEXTS = {
    "set": "The cloud password is set",
    "none": "The cloud password is removed",
    "wait_email_code": "Telegram has sent a code to the recovery address",
}


@extend_schema(tags=["stateless"])
class LogoutView(CarriedView):
    @extend_schema(responses=responses(serializers.MessageOutput, 502))
    def delete(self, request: Request) -> Response:
        """Log out at Telegram, where the auth key dies: no copy of the string works any more."""
        if not self.messenger.call(auth.log_out):
            raise Unauthorized("Telegram has revoked this session.", code="auth_key_unregistered")
        return Response({"message": "Logged out successfully"})


@extend_schema(tags=["stateless"])
class ChatsView(CarriedView):
    @extend_schema(
        parameters=[serializers.ChatsQuery],
        responses=responses(serializers.StatelessChatsOutput, 400, 502),
    )
    def get(self, request: Request) -> Response:
        """List the session's chats, pinned ones first, then by their last message."""
        query = validated(serializers.ChatsQuery, request.query_params)
        return Response(reading.list_chats(self.messenger, **query))


@extend_schema(tags=["stateless"])
class MessagesView(CarriedView):
    @extend_schema(
        parameters=[serializers.MessagesQuery],
        responses=responses(serializers.StatelessMessagesOutput, 400, 404, 502),
    )
    def get(self, request: Request) -> Response:
        """Read a chat's messages, newest first."""
        query = validated(serializers.MessagesQuery, request.query_params)
        return Response(reading.list_messages(self.messenger, **query))


@extend_schema(tags=["stateless"])
class SendView(CarriedView, operations.SendOperation):
    pass


@extend_schema(tags=["stateless"])
class SendWithFileView(CarriedView, operations.SendFilesOperation):
    pass


@extend_schema(tags=["stateless"])
class EditView(CarriedView, operations.EditOperation):
    pass


@extend_schema(tags=["stateless"])
class ForwardView(CarriedView, operations.ForwardOperation):
    pass


@extend_schema(tags=["stateless"])
class DeleteView(CarriedView, operations.DeleteOperation):
    pass


@extend_schema(tags=["stateless"])
class JoinView(CarriedView, operations.JoinOperation):
    pass


@extend_schema(tags=["stateless"])
class MediaView(CarriedView, AsyncView):
    @extend_schema(
        parameters=[ChatInput, OpenApiParameter("message_id", int, OpenApiParameter.PATH)],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            **{code: error for code, error in responses(None, 400, 404, 502).items() if code > 200},
        },
    )
    async def get(self, request: Request, message_id: int) -> StreamingHttpResponse:
        """Stream a message's file through, as it comes from Telegram; nothing is stored."""
        query = validated(ChatInput, request.query_params)
        if not 0 < message_id <= MESSAGE_ID:
            raise NotFound("There is no such message.", code="message_id_invalid")
        carried = self.token.carried
        info = await telegram.acall(carried, media.file_info, message_id=message_id, **query)
        file = info["file"]
        assert file is not None
        bytes_of_file = telegram.stream(carried, media.read_file, file=file)
        # What Telegram refuses is told before the first byte is.
        first = await anext(bytes_of_file, b"")
        response = StreamingHttpResponse(
            Closing(first, bytes_of_file), content_type=file["mime_type"]
        )
        response["Content-Disposition"] = attachment(info["filename"] or f"file_{message_id}")
        response["Cache-Control"] = "private, no-store"
        if file["size"]:
            response["Content-Length"] = str(file["size"])
        return response


def attachment(name: str) -> str:
    """Return a Content-Disposition for any name (RFC 6266)."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    plain = "".join(c if c.isprintable() and c not in '"\\' else "_" for c in plain)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

"""`POST /session/import` and `POST /session/{session_id}/export`."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import owner_for
from accounts.models import Scope
from core.errors import Forbidden, TooLarge
from core.json import JSONParser
from core.validation import Int64Field, SessionNameField, validated
from sessions_app import lookup
from sessions_app.live import user_info
from sessions_app.messages.multipart import FormParser
from sessions_app.moving import exporting, taking_in
from sessions_app.schema import USER, responses
from sessions_app.serializers import LoginOutput
from sessions_app.views import HubView


class ImportInput(serializers.Serializer[Any]):
    """Either `session_string` or, in a form, `file`."""

    session_id = SessionNameField()
    session_string = serializers.CharField(
        required=False,
        max_length=8192,
        help_text="A Telethon or Pyrogram string, or an X-Session-String.",
    )
    file = serializers.FileField(required=False, help_text="Telethon's `.session` file.")
    api_id = Int64Field(min_value=1, max_value=2**31 - 1, required=False, allow_null=True)
    api_hash = serializers.RegexField(r"^[0-9A-Za-z]{1,64}$", required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("session_string" in attrs) == ("file" in attrs):
            raise serializers.ValidationError(
                {"session_string": "Give either a session_string or a file."}
            )
        if bool(attrs.get("api_id")) != bool(attrs.get("api_hash")):
            raise serializers.ValidationError({"api_id": "api_id and api_hash go together."})
        return attrs


class ExportInput(serializers.Serializer[Any]):
    format = serializers.ChoiceField(
        choices=["strings", "file"],
        default="strings",
        help_text="`file` answers with Telethon's `.session` file.",
    )


class ExportOutput(serializers.Serializer[Any]):
    status = serializers.CharField()
    message = serializers.CharField()
    session_string = serializers.CharField(help_text="For X-Session-String.")
    telethon = serializers.CharField(help_text="For Telethon's StringSession.")
    pyrogram = serializers.CharField(allow_null=True, help_text="For Pyrogram and kurigram.")
    api_id = serializers.IntegerField()
    dc_id = serializers.IntegerField()


class ImportView(HubView):
    required_scope = Scope.SESSIONS.value
    parser_classes = [JSONParser, FormParser]

    @extend_schema(
        tags=["sessions"],
        parameters=[USER],
        request={"application/json": ImportInput, "multipart/form-data": ImportInput},
        responses=responses(LoginOutput, 400, 409, 413, 502),
    )
    def post(self, request: Request) -> Response:
        """Take a session in that was logged in elsewhere; it must not be used there any more."""
        body = validated(ImportInput, request.data)
        name = body["session_id"]
        owner = owner_for(self.caller, self.username)
        mine = lookup.visible_sessions(self.caller, self.username)
        if lookup.is_limited(self.caller) and not mine.filter(name=name).exists():
            raise Forbidden("The key is limited to other sessions.", code="session_not_allowed")
        carried = None
        if "file" in body:
            if body["file"].size > taking_in.MAX_FILE_BYTES:
                raise TooLarge("The file is too large for a session.")
            found = taking_in.from_file(body["file"].read())
        else:
            found, carried = taking_in.from_string(body["session_string"])
        session = taking_in.take_in(
            owner,
            name,
            found,
            api_id=body.get("api_id"),
            api_hash=body.get("api_hash"),
            carried=carried,
        )
        assert session.account is not None
        self.audit("session.imported", name, account=session.account.user_id)
        return Response(
            {
                "status": "success",
                "message": "Session imported successfully",
                "user": user_info(session.account),
            }
        )


class ExportView(HubView):
    required_scope = Scope.SESSIONS.value

    @extend_schema(
        tags=["sessions"],
        parameters=[USER, OpenApiParameter("session_id", str, OpenApiParameter.PATH)],
        request=ExportInput,
        responses={
            **responses(ExportOutput, 400, 404, 409, 502),
            (200, "application/vnd.sqlite3"): OpenApiTypes.BINARY,
            (200, "application/json"): ExportOutput,
        },
    )
    def post(self, request: Request, session_id: str) -> HttpResponse | Response:
        """Hand the session out and pause it here: two owners of one key would kill it."""
        wanted = validated(ExportInput, request.data or {})["format"]
        session = self.session(session_id)
        exported = exporting.export_session(session)
        self.audit("session.exported", session_id, format=wanted)
        if wanted == "file":
            answer = HttpResponse(
                exporting.session_file(exported), content_type="application/vnd.sqlite3"
            )
            answer["Content-Disposition"] = 'attachment; filename="telegram.session"'
            answer["Cache-Control"] = "no-store"
            return answer
        return Response(
            {
                "status": "success",
                "message": "Session exported; it is paused here",
                "session_string": exported.session_string,
                "telethon": exported.telethon,
                "pyrogram": exported.pyrogram,
                "api_id": exported.api_id,
                "dc_id": exported.dc_id,
            }
        )

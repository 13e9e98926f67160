"""The plain questions of `/api/v3`: dialogs, folders, Telegram's search, settings."""

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Scope
from core.errors import BadRequest, TooLarge, ValidationFailed
from core.validation import validated
from scraper import dialogs, folders, runtime_settings, search, serializers
from scraper.base import SESSION, SessionView, query_of, refusals, responses

DIALOG = OpenApiParameter(
    "dialog_id",
    str,
    OpenApiParameter.PATH,
    description="A marked id, `@username`, a t.me link or `me`.",
)


class DialogSearchView(SessionView):
    @extend_schema(
        tags=["dialogs"],
        parameters=[*SESSION, serializers.DialogSearchInput],
        responses=responses(serializers.DialogPageOutput, 400, 404, 502),
    )
    def get(self, request: Request) -> Response:
        """Search the account's dialogs; without parameters, list them."""
        given = validated(serializers.DialogSearchInput, query_of(request, "type"))
        return Response(dialogs.search_dialogs(self.session, dialogs.DialogQuery(**given)))


class FolderListView(SessionView):
    @extend_schema(
        tags=["dialogs"],
        parameters=[*SESSION, serializers.FoldersInput],
        responses=responses(serializers.FolderOutput(many=True), 400, 502),
    )
    def get(self, request: Request) -> Response:
        """List the chat folders, `All Chats` first."""
        given = validated(serializers.FoldersInput, query_of(request))
        return Response(folders.show_folders(self.session, **given))


class MessageSearchView(SessionView):
    @extend_schema(
        tags=["search"],
        parameters=[*SESSION, serializers.MessageSearchInput],
        responses=responses(serializers.MessageSearchOutput, 400, 502),
    )
    def get(self, request: Request) -> Response:
        """Search the messages of all chats at Telegram, newest first."""
        if "from_user" in request.query_params:
            raise ValidationFailed({"from_user": ["Only the search in one dialog takes this."]})
        given = validated(serializers.MessageSearchInput, query_of(request))
        return Response(search.search_messages(self.session, _search_query(given)))


class DialogMessageSearchView(SessionView):
    @extend_schema(
        tags=["search"],
        operation_id="api_v3_search_dialog_messages_retrieve",
        parameters=[*SESSION, DIALOG, serializers.DialogMessageSearchInput],
        responses=responses(serializers.MessageSearchOutput, 400, 404, 502),
    )
    def get(self, request: Request, dialog_id: str) -> Response:
        """Search the messages of one chat at Telegram, newest first."""
        given = validated(serializers.DialogMessageSearchInput, query_of(request))
        return Response(search.search_messages(self.session, _search_query(given), dialog_id))


def _search_query(given: dict[str, Any]) -> search.SearchQuery:
    return search.SearchQuery(
        query=given.get("q", ""),
        start=given["start_date"],
        end=given["end_date"],
        from_user=given.get("from_user", ""),
        limit=given["limit"],
    )


class SettingsView(SessionView):
    required_scope: ClassVar[str | dict[str, str]] = {
        "GET": Scope.READ.value,
        "PATCH": Scope.ADMIN.value,
    }

    @extend_schema(
        tags=["settings"],
        parameters=SESSION,
        responses=responses(serializers.SettingsOutput),
    )
    def get(self, request: Request) -> Response:
        """Tell the settings, which are the hub's."""
        return Response(runtime_settings.current().as_dict())

    @extend_schema(
        tags=["settings"],
        parameters=SESSION,
        request=runtime_settings.SettingsInput,
        responses=responses(serializers.SettingsOutput, 400),
    )
    def patch(self, request: Request) -> Response:
        """Change settings, at once and for good; what is left out stays as it was."""
        changed = runtime_settings.update(request.data)
        self.audit("settings.changed", "", keys=sorted(request.data))
        return Response(changed.as_dict())


class YamlParser(BaseParser):
    """A body as text, whatever its type says it is."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        body = stream.read(runtime_settings.MAX_FILE_BYTES + 1)
        if len(body) > runtime_settings.MAX_FILE_BYTES:
            raise TooLarge("A settings file is smaller.")
        try:
            return bytes(body).decode()
        except UnicodeDecodeError:
            raise BadRequest("This is not UTF-8.") from None


class SettingsFileView(SessionView):
    required_scope: ClassVar[str | dict[str, str]] = {
        "GET": Scope.READ.value,
        "PUT": Scope.ADMIN.value,
    }
    parser_classes = [YamlParser]

    @extend_schema(
        tags=["settings"],
        parameters=SESSION,
        responses={
            **refusals(),
            (200, "application/yaml"): OpenApiResponse(OpenApiTypes.OBJECT),
        },
    )
    def get(self, request: Request) -> HttpResponse:
        """Export the settings as YAML."""
        text = runtime_settings.to_yaml(runtime_settings.current())
        return HttpResponse(text, content_type="application/yaml")

    @extend_schema(
        tags=["settings"],
        parameters=SESSION,
        request={"application/yaml": OpenApiTypes.OBJECT},
        responses=responses(serializers.SettingsOutput, 400, 413),
    )
    def put(self, request: Request) -> Response:
        """Import settings from YAML; what it leaves out gets its default."""
        replaced = runtime_settings.replace(str(request.data or ""))
        self.audit("settings.imported", "")
        return Response(replaced.as_dict())


class SkillView(APIView):
    """SKILL.md, which tells agents how to use the hub."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(
        tags=["hub"],
        auth=[],
        responses={(200, "text/markdown"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def get(self, request: Request) -> HttpResponse:
        """Tell agents how to use the hub."""
        text = (settings.BASE_DIR / "SKILL.md").read_bytes()
        return HttpResponse(text, content_type="text/markdown; charset=utf-8")

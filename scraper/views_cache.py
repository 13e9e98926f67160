"""What is done with the cache: searching it, exporting a dialog, deleting what is cached of one."""

from contextlib import aclosing
from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from core.validation import Int64Field, PeriodSerializer, unix_seconds, validated
from scraper import cache_search, export, forgetting, grants, loop
from scraper.base import SESSION, SessionView, query_of, responses
from scraper.cache_search import CacheQuery
from scraper.runtime_settings import FILE_TYPES

DIALOG = OpenApiParameter(
    "dialog_id",
    str,
    OpenApiParameter.PATH,
    description="A marked id, `@username`, a t.me link or `me`.",
)


class CacheSearchInput(PeriodSerializer):
    q = serializers.CharField(
        max_length=500, help_text='Words, "phrases", beginnings* and -exclusions; all must match.'
    )
    dialog = serializers.ListField(
        child=serializers.CharField(max_length=256), required=False, default=list, max_length=20
    )
    sender = serializers.ListField(
        child=Int64Field(), required=False, default=list, max_length=50, help_text="marked ids"
    )
    media_type = serializers.ListField(
        child=serializers.RegexField(
            rf"\A(?:any|none|{'|'.join(FILE_TYPES)}|MessageMedia[A-Za-z]{{1,50}})\Z",
            error_messages={"invalid": "There is no such type of media."},
        ),
        required=False,
        default=list,
        max_length=20,
        help_text="photos, videos, files, …; MessageMediaPhoto, …; any; none",
    )
    sort = serializers.ChoiceField(choices=["rank", "newest", "oldest"], default="rank")
    include_deleted = serializers.BooleanField(default=False)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)


class CacheHitOutput(serializers.Serializer[Any]):
    """A history message, and where it is."""

    message_id = serializers.IntegerField()
    date = serializers.CharField(allow_null=True)
    sender_id = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()
    dialog_id = serializers.IntegerField()
    dialog_name = serializers.CharField()
    highlight = serializers.CharField(help_text="HTML, escaped, hits in <mark>")


class CacheSearchOutput(serializers.Serializer[Any]):
    query = serializers.CharField()
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()
    results = CacheHitOutput(many=True)


class CacheSearchView(SessionView):
    @extend_schema(
        tags=["search"],
        parameters=[*SESSION, CacheSearchInput],
        responses=responses(CacheSearchOutput, 400, 404),
    )
    def get(self, request: Request) -> Response:
        """Search what is cached, as far as the session may read it; Telegram is not asked."""
        given = validated(CacheSearchInput, query_of(request, "dialog", "sender", "media_type"))
        return Response(
            cache_search.search(
                self.session,
                CacheQuery(
                    q=given["q"],
                    chats=given["dialog"],
                    senders=given["sender"],
                    start=unix_seconds(given["start_date"]),
                    end=unix_seconds(given["end_date"]),
                    media_types=given["media_type"],
                    sort=given["sort"],
                    include_deleted=given["include_deleted"],
                    limit=given["limit"],
                    offset=given["offset"],
                ),
            )
        )


class ExportInput(PeriodSerializer):
    format = serializers.ChoiceField(choices=export.FORMATS, default="jsonl")
    media = serializers.BooleanField(default=False)
    include_deleted = serializers.BooleanField(default=False)


class ExportView(SessionView):
    @extend_schema(
        tags=["cache"],
        parameters=[*SESSION, DIALOG, ExportInput],
        responses={
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY),
            **{k: v for k, v in responses(None, 400, 404, 429, 502).items() if k != 200},
        },
    )
    def get(self, request: Request, dialog_id: str) -> HttpResponseBase:
        """Export a dialog as a ZIP: its messages, with `media` its files, and their SHA-256 sums.

        What is not cached is read from Telegram. `manifest.json` comes last and says whether
        the export is complete.
        """
        given = validated(ExportInput, query_of(request))
        query = export.ExportQuery(
            format=given["format"],
            media=given["media"],
            start=unix_seconds(given["start_date"]),
            end=unix_seconds(given["end_date"]),
            include_deleted=given["include_deleted"],
        )
        chat, _ = loop.submit(grants.open_chat(self.session, dialog_id)).result(90)
        self.audit("cache.exported", str(chat.peer_id), format=query.format)

        async def archive() -> Any:
            pieces = await export.export(self.session, str(chat.peer_id), query)
            async with aclosing(pieces), aclosing(export.packed(pieces)) as chunks:
                async for chunk in chunks:
                    yield chunk

        answer = StreamingHttpResponse(archive(), content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="export_{chat.peer_id}.zip"'
        answer["Cache-Control"] = "no-store"
        return answer


class ForgottenOutput(serializers.Serializer[Any]):
    dialog_id = serializers.IntegerField()
    messages_deleted = serializers.IntegerField()
    files_deleted = serializers.IntegerField()
    bytes_freed = serializers.IntegerField()


class CacheView(SessionView):
    required_scope: ClassVar[str | dict[str, str]] = {"DELETE": Scope.ADMIN.value}

    @extend_schema(
        tags=["cache"],
        parameters=[*SESSION, DIALOG],
        responses=responses(ForgottenOutput, 404, 502),
    )
    def delete(self, request: Request, dialog_id: str) -> Response:
        """Delete what is cached of a dialog, for everybody: messages, coverage, files."""
        chat, _ = loop.submit(grants.open_chat(self.session, dialog_id)).result(90)
        gone = forgetting.forget_chat(chat)
        self.audit("cache.deleted", str(chat.peer_id), messages=gone["messages_deleted"])
        return Response(gone)

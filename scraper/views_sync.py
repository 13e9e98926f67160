"""`/api/v3/sync`, `/api/v3/jobs` and `/api/v3/coverage`: downloads, and what they brought."""

from typing import Any

from asgiref.sync import async_to_sync
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import ApiError, NotFound
from core.pagination import PageQuery
from core.validation import PeriodSerializer, unix_seconds, validated
from scraper import grants, job_runner, jobs, loop, reports
from scraper.base import SESSION, SessionView, responses
from scraper.models import Job, JobState

MAX_WAIT = 60.0
MAX_MAX_WAIT = 3600.0


class SyncQuery(PeriodSerializer):
    force_refresh = serializers.BooleanField(default=False)
    max_wait = serializers.FloatField(default=MAX_WAIT, min_value=0, max_value=MAX_MAX_WAIT)


class JobInput(PeriodSerializer):
    dialog_id = serializers.CharField(max_length=256, help_text="any chat reference")
    force_refresh = serializers.BooleanField(default=False)
    media = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="whether files are fetched too; null: as the settings say",
    )


class SyncOutput(serializers.Serializer[Any]):
    dialog_id = serializers.IntegerField(
        allow_null=True, help_text="Null as long as the job has not found the dialog."
    )
    messages_downloaded = serializers.IntegerField()
    messages_with_media = serializers.IntegerField()
    media_downloaded = serializers.IntegerField()
    media_skipped = serializers.IntegerField()
    job_id = serializers.IntegerField(required=False, help_text="while it goes on")


class SkippedOutput(serializers.Serializer[Any]):
    message_id = serializers.IntegerField()
    reason = serializers.CharField()


class JobOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=["backfill", "sync"])
    state = serializers.ChoiceField(choices=JobState.values)
    session = serializers.CharField()
    dialog = serializers.CharField()
    dialog_id = serializers.IntegerField(allow_null=True)
    start_date = serializers.DateTimeField(allow_null=True)
    end_date = serializers.DateTimeField(allow_null=True)
    force_refresh = serializers.BooleanField()
    media = serializers.BooleanField(allow_null=True)
    progress = serializers.FloatField(allow_null=True, help_text="0 to 1")
    messages_downloaded = serializers.IntegerField()
    messages_with_media = serializers.IntegerField()
    media_downloaded = serializers.IntegerField()
    media_skipped = serializers.IntegerField()
    rate = serializers.FloatField(help_text="messages a second")
    eta_seconds = serializers.IntegerField(allow_null=True)
    flood_until = serializers.DateTimeField(allow_null=True)
    retry_after = serializers.IntegerField(allow_null=True)
    skipped = SkippedOutput(many=True)
    code = serializers.CharField(allow_null=True)
    detail = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class JobListQuery(PageQuery):
    state = serializers.MultipleChoiceField(choices=JobState.choices, required=False, default=set)


class JobListOutput(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    offset = serializers.IntegerField()
    limit = serializers.IntegerField()
    jobs = JobOutput(many=True)


class IntervalOutput(serializers.Serializer[Any]):
    first_id = serializers.IntegerField()
    last_id = serializers.IntegerField()
    messages = serializers.IntegerField()
    first_date = serializers.DateTimeField(allow_null=True)
    last_date = serializers.DateTimeField(allow_null=True)


class HoleOutput(serializers.Serializer[Any]):
    first_id = serializers.IntegerField()
    last_id = serializers.IntegerField()


class CoverageOutput(serializers.Serializer[Any]):
    dialog_id = serializers.IntegerField()
    dialog_name = serializers.CharField()
    first_id = serializers.IntegerField(help_text="of what the session may see")
    last_id = serializers.IntegerField(help_text="the newest that is known")
    messages = serializers.IntegerField()
    is_complete = serializers.BooleanField()
    is_live = serializers.BooleanField(help_text="whether updates keep the newest end current")
    intervals = IntervalOutput(many=True)
    holes = HoleOutput(many=True)


DIALOG = OpenApiParameter(
    "dialog_id", str, OpenApiParameter.PATH, description="Any chat reference."
)
PERIOD = [
    OpenApiParameter(name, OpenApiTypes.STR, description="YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, UTC")
    for name in ("start_date", "end_date")
]


class SyncView(SessionView):
    @extend_schema(
        tags=["scraper"],
        summary="Download what is missing of a dialog",
        description="Done within `max_wait` seconds it answers 200, else 202 with `job_id`: the "
        "job goes on.",
        parameters=[
            *SESSION,
            DIALOG,
            *PERIOD,
            OpenApiParameter("force_refresh", bool),
            OpenApiParameter("max_wait", float, description="seconds, 60 unless said"),
        ],
        request=None,
        responses={**responses(SyncOutput, 400, 404, 502), 202: SyncOutput},
    )
    def post(self, request: Request, dialog_id: str) -> Response:
        query = validated(SyncQuery, request.query_params)
        job = jobs.create(
            self.session,
            self.caller.user.pk,
            dialog=dialog_id,
            kind="sync",
            start=unix_seconds(query["start_date"]),
            end=unix_seconds(query["end_date"]),
            force_refresh=query["force_refresh"],
        )
        job = wait_for(job, query["max_wait"])
        if job.state == JobState.FAILED:
            raise failure(job)
        body: dict[str, Any] = {
            "dialog_id": job.chat.peer_id if job.chat else None,
            "messages_downloaded": job.messages_downloaded,
            "messages_with_media": job.messages_with_media,
            "media_downloaded": job.media_downloaded,
            "media_skipped": job.media_skipped,
        }
        if job.state == JobState.DONE:
            return Response(body)
        return Response({**body, "job_id": job.pk}, status=202)


def wait_for(job: Job, max_wait: float) -> Job:
    """Return the job as it stands when it is over, or `max_wait` seconds later."""
    # No connection is held while it runs.
    from django.db import connection

    connection.close()
    if job_runner.runs_here():
        loop.submit(job_runner.finish(job.pk, max_wait)).result(max_wait + 10)
    fresh: Job = Job.objects.select_related("session", "chat").get(pk=job.pk)
    return fresh


def failure(job: Job) -> ApiError:
    """Return the refusal that a job met, as the error of the call that waited for it."""
    return ApiError(job.detail, status=job.status or 502, code=job.code or None)


class JobListView(SessionView):
    @extend_schema(
        operation_id="api_v3_jobs_list",
        tags=["scraper"],
        summary="List the session's jobs",
        parameters=[
            *SESSION,
            OpenApiParameter("state", str, many=True, enum=JobState.values),
            OpenApiParameter("limit", int),
            OpenApiParameter("offset", int),
        ],
        responses=responses(JobListOutput, 400),
    )
    def get(self, request: Request) -> Response:
        query = validated(JobListQuery, request.query_params)
        found = jobs.jobs_of(self.session)
        if query["state"]:
            found = found.filter(state__in=query["state"])
        start, limit = query["offset"], query["limit"]
        return Response(
            {
                "total": found.count(),
                "offset": start,
                "limit": limit,
                "jobs": [jobs.describe(job) for job in found[start : start + limit]],
            }
        )

    @extend_schema(
        tags=["scraper"],
        summary="Start a download that outlives the request",
        parameters=SESSION,
        request=JobInput,
        responses={**responses(JobOutput, 400), 201: JobOutput},
    )
    def post(self, request: Request) -> Response:
        body = validated(JobInput, request.data)
        job = jobs.create(
            self.session,
            self.caller.user.pk,
            dialog=body["dialog_id"],
            start=unix_seconds(body["start_date"]),
            end=unix_seconds(body["end_date"]),
            force_refresh=body["force_refresh"],
            media=body["media"],
        )
        launch(job)
        return Response(jobs.describe(reload(job)), status=201)


def launch(job: Job) -> None:
    """Begin the job at once where its engine is; elsewhere its owner finds it in seconds."""
    if job_runner.runs_here():
        loop.submit(job_runner.begin(job.pk))


def reload(job: Job) -> Job:
    fresh: Job = Job.objects.select_related("session", "chat").get(pk=job.pk)
    return fresh


class JobView(SessionView):
    def job(self, job_id: int) -> Job:
        job: Job | None = jobs.jobs_of(self.session).filter(pk=job_id).first()
        if job is None:
            raise NotFound("There is no such job.", code="job_not_found")
        return job

    @extend_schema(
        tags=["scraper"],
        summary="Show a job",
        parameters=SESSION,
        responses=responses(JobOutput, 404),
    )
    def get(self, request: Request, job_id: int) -> Response:
        return Response(jobs.describe(self.job(job_id)))


class JobPauseView(JobView):
    http_method_names = ["post", "options"]

    @extend_schema(
        tags=["scraper"],
        summary="Pause a job",
        parameters=SESSION,
        request=None,
        responses=responses(JobOutput, 404, 409),
    )
    def post(self, request: Request, job_id: int) -> Response:
        return Response(jobs.describe(settle(jobs.pause(self.job(job_id)))))


class JobCancelView(JobView):
    http_method_names = ["post", "options"]

    @extend_schema(
        tags=["scraper"],
        summary="Cancel a job",
        description="What it has read stays in the cache.",
        parameters=SESSION,
        request=None,
        responses=responses(JobOutput, 404, 409),
    )
    def post(self, request: Request, job_id: int) -> Response:
        return Response(jobs.describe(settle(jobs.cancel(self.job(job_id)))))


class JobResumeView(JobView):
    http_method_names = ["post", "options"]

    @extend_schema(
        tags=["scraper"],
        summary="Resume a paused or failed job where it stopped",
        parameters=SESSION,
        request=None,
        responses=responses(JobOutput, 404, 409),
    )
    def post(self, request: Request, job_id: int) -> Response:
        job = jobs.resume(self.job(job_id))
        launch(job)
        return Response(jobs.describe(reload(job)))


def settle(job: Job) -> Job:
    """Have the run that goes on here look at once at what is wanted of it."""
    if job_runner.runs_here():
        loop.submit(job_runner.poke(job.pk)).result(10)
    return reload(job)


class CoverageView(SessionView):
    @extend_schema(
        tags=["scraper"],
        summary="Show what is cached of a dialog, and the holes",
        parameters=[*SESSION, DIALOG],
        responses=responses(CoverageOutput, 400, 404, 502),
    )
    def get(self, request: Request, dialog_id: str) -> Response:
        chat, access = async_to_sync(grants.open_chat)(self.session, dialog_id)
        return Response(reports.coverage_of(chat, access))

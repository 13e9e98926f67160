"""Jobs: what they bring, pausing, resuming, floods, and the routes over them."""

from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from sandbox.world.raw import Raw
from scraper.models import Job, JobState
from scraper.tests.test_history import channel
from sessions_app.models import TelegramSession
from sessions_app.tests.helpers import make_client, make_user

NOON = 1_700_000_000
pytestmark = pytest.mark.django_db(transaction=True)


def client_of(owner: str, name: str) -> APIClient:
    client = make_client(make_user(owner))
    client.defaults["HTTP_X_TELEGRAM_USERNAME"] = name
    return client


@pytest.fixture
def ann(rig: Any) -> Any:
    return rig.person()


@pytest.fixture
def client(rig: Any, ann: Any) -> APIClient:
    rig.log_in(ann, "ann")
    return client_of("alice", "ann")


def test_sync_works(rig: Any, ann: Any, client: APIClient) -> None:
    chat = channel(rig, ann, 250)
    answer = client.post(f"/api/v3/sync/{chat.peer}")
    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "dialog_id": chat.peer,
        "messages_downloaded": 251,
        "messages_with_media": 0,
        "media_downloaded": 0,
        "media_skipped": 0,
    }
    asked = len(rig.pages())
    assert client.post(f"/api/v3/sync/{chat.peer}").json()["messages_downloaded"] == 0
    assert len(rig.pages()) == asked
    report = client.get(f"/api/v3/coverage/{chat.peer}").json()
    assert report["is_complete"] and report["is_live"] and report["messages"] == 251
    assert report["holes"] == [] and len(report["intervals"]) == 1


def test_a_part_is_not_complete(rig: Any, ann: Any, client: APIClient) -> None:
    """Whoever has read old messages alone does not know where the newest are."""
    day = 86_400
    chat = rig.world.add_channel("Old News", ann, username="old_news", date=1_704_067_200)
    for number in range(1, 200):
        rig.world.post(chat, chat, f"post {number}", date=1_704_067_200 + number * day)
    url = f"/api/v3/coverage/{chat.peer}"
    rig.read(TelegramSession.objects.get(name="ann"), chat.peer, end=1_704_067_200 + 10 * day)
    part = client.get(url).json()
    assert not part["is_complete"] and part["messages"] == 11
    assert client.get("/api/v3/search/dialogs?q=old").status_code == 200
    listed = client.get(url).json()
    assert not listed["is_complete"] and listed["last_id"] == 200
    assert listed["holes"] == [{"first_id": 12, "last_id": 200}]
    assert client.post(f"/api/v3/sync/{chat.peer}").status_code == 200
    assert client.get(url).json()["is_complete"]


def test_dates_at_the_ends_of_the_calendar(rig: Any, ann: Any, client: APIClient) -> None:
    period = {"start_date": "0001-01-01", "end_date": "9999-12-31"}
    chat = channel(rig, ann, 3)
    answer = client.post("/api/v3/jobs", {"dialog_id": str(chat.peer), **period}, format="json")
    assert answer.status_code in (201, 202), answer.content
    number = answer.json()["id"]
    rig.wait_until(lambda: client.get(f"/api/v3/jobs/{number}").json()["state"] == "done")
    # As earlier versions stored it, a second too late.
    Job.objects.filter(pk=number).update(end=253_402_300_800)
    [job] = client.get("/api/v3/jobs").json()["jobs"]
    assert job["messages_downloaded"] == 4
    assert job["start_date"] == "0001-01-01T00:00:00+00:00"
    assert job["end_date"] == "9999-12-31T23:59:59+00:00"


def test_sync_of_an_unknown_dialog(client: APIClient) -> None:
    answer = client.post("/api/v3/sync/-1001234567890")
    assert answer.status_code == 404, answer.content
    assert client.get("/api/v3/coverage/-1001234567890").status_code == 404


def test_a_long_sync_goes_on_as_a_job(rig: Any, ann: Any, client: APIClient) -> None:
    chat = channel(rig, ann, 250)
    rig.sandbox.faults.flood("messages.getHistory", 2)
    answer = client.post(f"/api/v3/sync/{chat.peer}?max_wait=0.2")
    assert answer.status_code == 202, answer.content
    number = answer.json()["job_id"]
    assert client.get(f"/api/v3/jobs/{number}").json()["state"] in ("waiting", "running")
    rig.wait_until(lambda: client.get(f"/api/v3/jobs/{number}").json()["state"] == "done")
    job = client.get(f"/api/v3/jobs/{number}").json()
    assert job["progress"] == 1.0 and job["messages_downloaded"] == 251


def test_pause_resume_cancel(rig: Any, ann: Any, client: APIClient) -> None:
    chat = channel(rig, ann, 3000)
    rig.sandbox.faults.latency(0.3, method="messages.getHistory")
    made = client.post("/api/v3/jobs", {"dialog_id": str(chat.peer)}, format="json")
    assert made.status_code == 201, made.content
    path = f"/api/v3/jobs/{made.json()['id']}"
    rig.wait_until(lambda: client.get(f"/api/v3/coverage/{chat.peer}").json()["messages"] > 200)
    paused = client.post(f"{path}/pause").json()
    assert paused["state"] == "paused" and 0 < paused["messages_downloaded"] < 3001
    rig.sandbox.faults.clear()
    assert client.post(f"{path}/resume").json()["state"] in ("queued", "running", "done")
    rig.wait_until(lambda: client.get(path).json()["state"] == "done")
    assert client.post(f"{path}/cancel").status_code == 409
    assert len(rig.read(Job.objects.get().session, chat.peer).ids) == 3001
    # What was read before the pause was not read again, pages in flight apart.
    assert len(rig.pages()) <= 31 + 32
    listed = client.get("/api/v3/jobs?state=done").json()
    assert [job["id"] for job in listed["jobs"]] == [made.json()["id"]]


def test_a_job_of_a_dead_process_goes_on(rig: Any, ann: Any, client: APIClient) -> None:
    from scraper import job_runner

    chat = channel(rig, ann, 100)
    session = Job.session.get_queryset().get()
    job = Job.objects.create(
        session=session,
        user=session.owner,
        account=session.account,
        dialog=str(chat.peer),
        state=JobState.RUNNING,
        process="gone.1.1.1",
    )
    job_runner.adopt()
    rig.wait_until(lambda: Job.objects.get(pk=job.pk).state == JobState.DONE)
    assert Job.objects.get(pk=job.pk).messages_downloaded == 101


@pytest.mark.parametrize("refresh", [False, True])
def test_a_killed_job_counts_as_one_that_was_not(
    rig: Any, ann: Any, client: APIClient, refresh: bool
) -> None:
    from scraper import job_runner

    chat = rig.world.add_channel("News", rig.person("Bob"), username="the_news", date=NOON)
    photo = rig.world.add_photo()
    for number in range(2, 501):
        media = None if number % 10 else photo
        rig.world.post(chat, chat, f"post {number}", date=NOON + number, media=media)
    session = TelegramSession.objects.get(name="ann")
    assert len(rig.read(session, "@the_news", end=NOON + 100).ids) == 100
    rig.sandbox.faults.latency(1, method="messages.getHistory")
    asked = len(rig.pages())
    wish = {"dialog_id": "@the_news", "media": False, "force_refresh": refresh}
    number = client.post("/api/v3/jobs", wish, format="json").json()["id"]
    path = f"/api/v3/jobs/{number}"
    rig.wait_until(lambda: len(rig.pages()) > asked)
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    rig.sandbox.faults.clear()
    # As one leaves it that is killed before it has written its progress down.
    rig.read(session, "@the_news", end=NOON + 300)
    Job.objects.filter(pk=number).update(
        state=JobState.RUNNING,
        process="gone.1.1.1",
        messages_downloaded=7,
        checkpoint="[[1,300]]" if refresh else "",
    )
    job_runner.adopt()
    rig.wait_until(lambda: client.get(path).json()["state"] == "done")
    job = client.get(path).json()
    assert job["messages_downloaded"] == (500 if refresh else 400)
    assert job["messages_with_media"] == (50 if refresh else 40)
    # Killed at its very end, with everything there.
    Job.objects.filter(pk=number).update(state=JobState.RUNNING, process="gone.1.1.1")
    job_runner.adopt()
    rig.wait_until(lambda: client.get(path).json()["state"] == "done")
    again = client.get(path).json()
    for counter in ("messages_downloaded", "messages_with_media", "media_skipped"):
        assert again[counter] == job[counter]


def test_what_is_skipped_is_noted_once(rig: Any, ann: Any, client: APIClient) -> None:
    from scraper import job_runner, runtime_settings

    chat = rig.world.add_channel("News", rig.person("Bob"), username="the_news", date=NOON)
    media = dict.fromkeys((2, 3, 5, 6), rig.world.add_photo())
    media[4] = Raw(b"\x0d\xf0\xad\x0bstrange")
    for number in range(2, 151):
        rig.world.post(chat, chat, f"post {number}", date=NOON + number, media=media.get(number))
    runtime_settings.update({"download_file_types": {"photos": False}})
    wish = {"dialog_id": "@the_news", "media": True}
    number = client.post("/api/v3/jobs", wish, format="json").json()["id"]
    path = f"/api/v3/jobs/{number}"
    rig.wait_until(lambda: client.get(path).json()["state"] == "done")
    job = client.get(path).json()
    Job.objects.filter(pk=number).update(state=JobState.RUNNING, process="gone.1.1.1")
    job_runner.adopt()
    rig.wait_until(lambda: client.get(path).json()["state"] == "done")
    again = client.get(path).json()
    assert again["media_skipped"] == job["media_skipped"] == 4
    assert again["skipped"] == job["skipped"]
    assert sorted(each["message_id"] for each in job["skipped"]) == [2, 3, 4, 5, 6]


def test_what_is_unreadable_is_noted_with_the_progress() -> None:
    """A job that is killed or paused afterwards does not read it again."""
    from scraper import job_runner

    run: Any = job_runner._Run(1)
    demand: Any = SimpleNamespace(
        fill=SimpleNamespace(covered=[(1, 9)]), messages=9, unreadable=[4]
    )
    for _ in range(2):
        assert run._progress(demand, 1, 9)["done_ids"] == 9
        assert run.skipped == [{"message_id": 4, "reason": "unreadable"}]


def test_others_jobs_do_not_exist(rig: Any, ann: Any, client: APIClient) -> None:
    chat = channel(rig, ann, 5)
    number = client.post("/api/v3/jobs", {"dialog_id": str(chat.peer)}, format="json").json()["id"]
    rig.log_in(rig.person("Bob"), "bob", "bob")
    bob = client_of("bob", "bob")
    assert bob.get(f"/api/v3/jobs/{number}").status_code == 404
    assert bob.get("/api/v3/jobs").json()["total"] == 0
    assert bob.get(f"/api/v3/coverage/{chat.peer}").status_code == 404


def test_refusals(client: APIClient) -> None:
    assert (
        client.post("/api/v3/sync/x?start_date=2025-02-01&end_date=2025-01-01").status_code == 400
    )
    assert client.post("/api/v3/jobs", {}, format="json").status_code == 400
    assert client.get("/api/v3/jobs/999").status_code == 404
    client.credentials()
    assert client.get("/api/v3/jobs").status_code == 401

"""`manage.py sync` beside a running hub, and alone."""

from sandbox import Sandbox
from tests.hub import Hub

PHONE = "+15550770001"


def test_it_works(hub: Hub, telegram: Sandbox) -> None:
    ann = telegram.world.add_user("Ann", phone=PHONE)
    chat = telegram.world.add_channel("Archive", ann)
    for n in range(299):
        telegram.world.post(chat, chat, f"post {n}")
    hub.log_in("s", PHONE, telegram.login_code)
    hub.wait_connected("s")
    done = hub.manage("sync", "s", str(chat.peer))
    assert "done: 300 messages downloaded" in done.stdout
    headers = {"X-Telegram-Username": "s"}
    assert hub.get(f"/api/v3/coverage/{chat.peer}", headers=headers).json()["is_complete"]
    [job] = hub.get("/api/v3/jobs", headers=headers).json()["jobs"]
    assert (job["state"], job["progress"]) == ("done", 1.0)
    hub.stop()
    telegram.world.post(chat, chat, "while the hub was away")
    alone = hub.manage("sync", "s", str(chat.peer))
    assert "done: 1 messages downloaded" in alone.stdout, alone.stdout
    refused = hub.manage("sync", "s", "-1001234567890", check=False)
    assert refused.returncode and "not_found" in refused.stderr
    assert hub.manage("sync", "nobody", "me", check=False).returncode

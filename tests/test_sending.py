"""Sending over the hub: idempotency, floods, refusals."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sandbox import Sandbox
from tests.hub import Hub, wait_until

PHONE = "+15550400001"


@pytest.fixture
def sender(hub: Hub, telegram: Sandbox) -> Hub:
    telegram.world.add_user(phone=PHONE, first_name="Sender", username="the_sender")
    hub.log_in("s", PHONE, telegram.login_code)
    return hub


def send(hub: Hub, text: str, chat: object = "me", **headers: str) -> httpx.Response:
    body = {"session_id": "s", "chat_id": chat, "message": text}
    return hub.post("/message/send", body, headers=headers)


def sent_texts(telegram: Sandbox) -> list[str]:
    """What Telegram has in the sender's Saved Messages."""
    sender = next(u for u in telegram.world.users.values() if u.username == "the_sender")
    return [message.text for message in sender.messages.values()]


def test_it_works(sender: Hub, telegram: Sandbox) -> None:
    telegram.world.add_user(phone="+15550400002", first_name="Friend", username="friend_400")
    answer = send(sender, "Hello, World!", "@friend_400")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert body["status"] == "success"
    assert body["message"] == "Message sent successfully"
    friend = next(u for u in telegram.world.users.values() if u.username == "friend_400")
    assert body["chat_id"] == friend.id
    assert isinstance(body["message_id"], int)
    assert body["date"]
    assert [m.text for m in friend.messages.values()] == ["Hello, World!"]


@pytest.mark.parametrize("form", ["friend_400", "@friend_400", "https://t.me/friend_400", "id"])
def test_every_form_of_a_chat_reference(sender: Hub, telegram: Sandbox, form: str) -> None:
    friend = telegram.world.add_user(
        phone="+15550400002", first_name="Friend", username="friend_400"
    )
    assert send(sender, "First", "@friend_400").status_code == 200
    reference = friend.id if form == "id" else form
    assert send(sender, "Second", reference).json()["chat_id"] == friend.id
    assert send(sender, "Third", str(reference)).json()["chat_id"] == friend.id


def test_one_key_sends_once(sender: Hub, telegram: Sandbox) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first, second = send(sender, "Once", **headers), send(sender, "Once", **headers)
    assert first.json() == second.json()
    assert sent_texts(telegram) == ["Once"]
    other = send(sender, "Another text", **headers)
    assert other.status_code == 409


def test_twenty_parallel_sends_with_one_key_and_a_kill(
    sender: Hub, telegram: Sandbox, count: Callable[[int, int], int]
) -> None:
    for attempt in range(count(3, 20)):
        text = f"Exactly once {attempt}"
        headers = {"Idempotency-Key": f"parallel-{attempt}"}
        arrived = threading.Event()

        def try_to_send(_: int, text: str = text, headers: dict[str, str] = headers) -> int:
            try:
                return send(sender, text, **headers).status_code
            except httpx.HTTPError:
                return 0

        def watch(text: str = text, arrived: threading.Event = arrived) -> None:
            wait_until(lambda: text in sent_texts(telegram))
            arrived.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        telegram.faults.latency(0.05)
        with ThreadPoolExecutor(20) as pool:
            answers = pool.map(try_to_send, range(20))
            arrived.wait(30)
            sender.kill()
            list(answers)
        telegram.faults.clear()
        watcher.join()
        sender.start()
        sender.wait_connected("s")
        again = send(sender, text, **headers)
        assert again.status_code == 200, again.text
        assert again.json()["message_id"]
        assert sent_texts(telegram).count(text) == 1


def test_a_flood_wait_is_told_at_once_and_kept(sender: Hub, telegram: Sandbox) -> None:
    telegram.faults.flood("messages.sendMessage", 30, times=1)
    refused = send(sender, "Too fast")
    assert refused.status_code == 429
    assert refused.json()["code"] == "flood_wait"
    assert 28 <= int(refused.headers["Retry-After"]) <= 30
    served = telegram.calls.count("messages.sendMessage")
    assert send(sender, "Still too fast").status_code == 429
    sender.kill()
    sender.start()
    sender.wait_connected("s")
    refused = send(sender, "After a restart")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) <= 30
    assert telegram.calls.count("messages.sendMessage") == served
    # Another method is not concerned.
    assert sender.get("/session/s/status").status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ((403, "CHAT_WRITE_FORBIDDEN"), 403),
        ((400, "CHAT_ADMIN_REQUIRED"), 403),
        ((400, "USER_BANNED_IN_CHANNEL"), 403),
        ((400, "MESSAGE_TOO_LONG"), 400),
        ((400, "PEER_ID_INVALID"), 404),
        ((400, "CHANNEL_PRIVATE"), 403),
        ((401, "SESSION_REVOKED"), 401),
        ((500, "RPC_CALL_FAIL"), 502),
        ((420, "FLOOD_WAIT_77"), 429),
    ],
)
def test_telegrams_refusals(
    sender: Hub, telegram: Sandbox, error: tuple[int, str], status: int
) -> None:
    telegram.faults.fail("messages.sendMessage", *error, times=20)
    refused = send(sender, "No")
    assert refused.status_code == status, refused.text
    assert set(refused.json()) >= {"detail", "code"}
    assert (status == 429) == ("Retry-After" in refused.headers)


def test_a_chat_that_does_not_exist(sender: Hub) -> None:
    assert send(sender, "Hello?", "@nobody_has_this_name").status_code == 404
    assert send(sender, "Hello?", -1009999999999).status_code == 404


def test_incoming_messages_are_noticed_but_not_told(sender: Hub, telegram: Sandbox) -> None:
    friend = telegram.world.add_user(phone="+15550400002", first_name="Friend")
    me = next(u for u in telegram.world.users.values() if u.username == "the_sender")
    telegram.world.post(friend.id, me.id, "the secret recipe")
    wait_until(lambda: str(friend.id) in sender.log())
    assert "the secret recipe" not in sender.log()

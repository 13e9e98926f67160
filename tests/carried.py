"""What the tests of carried sessions share: who logs in, how, and what refuses them."""

from typing import Any

import httpx

from sandbox import Sandbox

ALICE, BOB, DORA = "+15550800001", "+15550800002", "+15550800003"
PASSWORD = "correct horse battery"
API_HASH = "0badcafe0badcafe0badcafe0badcafe"

MESSAGE_FIELDS = [
    "id",
    "text",
    "date",
    "sender_id",
    "sender_username",
    "sender_name",
    "reply_to_msg_id",
    "forward_from",
    "media_type",
    "is_pinned",
]
# Path, body, what Telegram refuses, how, and the status that it becomes.
REFUSALS: list[tuple[str, dict[str, str], str, tuple[int, str], int]] = [
    ("send", {"text": "x"}, "messages.sendMessage", (403, "CHAT_WRITE_FORBIDDEN"), 403),
    ("send", {"text": "x"}, "messages.sendMessage", (400, "CHANNEL_PRIVATE"), 403),
    ("send", {"text": "x"}, "messages.sendMessage", (400, "MESSAGE_TOO_LONG"), 400),
    ("edit", {"new_text": "x"}, "messages.editMessage", (400, "MESSAGE_NOT_MODIFIED"), 400),
    (
        "edit",
        {"new_text": "x"},
        "messages.editMessage",
        (403, "MESSAGE_AUTHOR_REQUIRED"),
        403,
    ),
    ("edit", {"new_text": "x"}, "messages.editMessage", (400, "MESSAGE_ID_INVALID"), 404),
    ("delete", {}, "messages.deleteMessages", (403, "MESSAGE_DELETE_FORBIDDEN"), 403),
    ("forward", {}, "messages.forwardMessages", (400, "CHAT_FORWARDS_RESTRICTED"), 403),
]


def begin(rig: Any, phone: str) -> dict[str, str]:
    """Have a code sent; return the headers of the login under way."""
    body = {"phone": phone, "api_id": 12345, "api_hash": API_HASH}
    answer = rig.one.post("/auth/send_code", body, headers=rig.api_key)
    assert answer.status_code == 200, answer.text
    return {"X-Session-String": answer.json()["session_string"]}


def log_in(rig: Any, telegram: Sandbox, phone: str, password: str = "") -> dict[str, str]:
    headers = begin(rig, phone)
    body = {"code": telegram.login_code(phone)}
    answer = rig.two.post("/auth/verify_code", body, headers=headers).json()
    if answer["next_step"] == "verify_password":
        headers = {"X-Session-String": answer["session_string"]}
        body = {"password": password}
        answer = rig.one.post("/auth/verify_password", body, headers=headers).json()
    assert answer["next_step"] == "completed"
    return {"X-Session-String": answer["session_string"]}


def user(telegram: Sandbox, phone: str) -> Any:
    return telegram.world.by_phone(phone)


def is_error(answer: httpx.Response, status: int, code: str = "") -> bool:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert isinstance(body["detail"], str)
    assert not code or body["code"] == code, body
    assert "Traceback" not in answer.text
    assert (status in (429, 503)) == ("Retry-After" in answer.headers)
    return True


class Zeros:
    """A file of zeros that nobody has to hold."""

    def __init__(self, size: int) -> None:
        self.size, self.at = size, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = (0, self.at, self.size)[whence] + offset
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int = -1) -> bytes:
        left = self.size - self.at
        taken = left if size < 0 else min(size, left)
        self.at += taken
        return bytes(taken)

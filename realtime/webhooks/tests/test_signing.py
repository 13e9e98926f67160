import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from realtime.webhooks.signing import new_secret, signed_headers

BODY = '{"type":"message.new","data":{"text":"привет 👋"}}'.encode()


def headers(*secrets: str, age: int = 0) -> dict[str, str]:
    return signed_headers(secrets, message_id="msg_1", timestamp=int(time.time()) - age, body=BODY)


def test_the_reference_library_takes_it() -> None:
    secret = new_secret()
    assert Webhook(secret).verify(BODY, headers(secret))["type"] == "message.new"


def test_a_secret_has_the_length_of_the_specification() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64
    assert secret != new_secret()


def test_both_secrets_hold_during_a_rotation() -> None:
    old, new = new_secret(), new_secret()
    both = headers(new, old)
    assert len(both["webhook-signature"].split()) == 2
    Webhook(old).verify(BODY, both)
    Webhook(new).verify(BODY, both)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret", "age"])
def test_what_was_tampered_with_is_refused(change: str) -> None:
    secret = new_secret()
    signed, body = headers(secret, age=600 if change == "age" else 0), BODY
    if change == "body":
        body = BODY.replace(b"1", b"2").replace(b"new", b"old")
    elif change == "id":
        signed["webhook-id"] = "msg_2"
    elif change == "timestamp":
        signed["webhook-timestamp"] = str(int(signed["webhook-timestamp"]) + 1)
    elif change == "secret":
        secret = new_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, signed)

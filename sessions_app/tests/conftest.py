"""A Telegram that answers as the test says.

Models may be imported only inside: this file is read before Django is set up.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import telegram
from engine.methods import auth, messages, sessions
from engine.testing import FakeTransport
from sandbox import Sandbox
from sandbox.world import World


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    from core import limits

    limits.reset()
    yield
    limits.reset()


@pytest.fixture
def fake() -> Iterator[FakeTransport]:
    """A Telegram where everything goes well."""
    from sessions_app.tests.helpers import ready, sent_code, telegram_user

    transport = FakeTransport()
    transport.answer(auth.send_code, sent_code())
    transport.answer(auth.resend_code, sent_code("hash2", type="sms", next_type=None))
    transport.answer(auth.cancel_code, True)
    transport.answer(auth.sign_in, ready())
    transport.answer(auth.check_password, ready())
    transport.answer(auth.log_out, True)
    transport.answer(sessions.disconnect, True)
    transport.answer(sessions.reconnect, {"was_connected": False, "user": telegram_user()})
    transport.answer(
        messages.send_message,
        {
            "message_id": 42,
            "chat_id": 1002,
            "date": "2026-11-20 12:00:00",
            "message": None,
            "duplicate": False,
            "scheduled": False,
        },
    )
    with telegram.over(transport):
        yield transport


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A Telegram data centre of this test's own, with nobody in it."""
    with Sandbox(world=World()) as telegram_dc:
        yield telegram_dc


@pytest.fixture
def node(transactional_db: None, sandbox: Sandbox, settings: Any, tmp_path: Path) -> Iterator[Any]:
    """This process as a hub over the sandbox, its engine running."""
    from sessions_app.lock import DataDirLock
    from sessions_app.run_engine import Node

    settings.DATA_DIR = tmp_path
    settings.TELEGRAM = {
        **settings.TELEGRAM,
        "DC": sandbox.dc,
        "DC_PUBLIC_KEY": str(sandbox.public_key_file),
        "SOCKET": str(tmp_path / "engine.sock"),
    }
    lock = DataDirLock(tmp_path)
    assert lock.acquire()
    node = Node(tmp_path, lock)
    node.start()
    yield node
    node.stop()
    lock.release()

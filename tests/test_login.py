"""Phone login from the first request to the last, over HTTP, against the sandbox."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sandbox import Sandbox
from tests.hub import Hub, wait_until

PHONE = "+15550100001"
PASSWORD = "correct horse battery staple"


def make_john(telegram: Sandbox, *, password: str = "", dc: int = 2) -> None:
    telegram.world.add_user(
        phone=PHONE,
        first_name="John",
        last_name="Doe",
        username="john_doe_100",
        password=password or None,
        dc=dc,
    )


def wrong(code: str) -> str:
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def start(hub: Hub, session: str = "user123", phone: str = PHONE) -> dict[str, object]:
    answer = hub.post("/login/start", {"session_id": session, "phone_number": phone})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_login_with_a_code(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    started = start(hub)
    assert started["status"] == "success"
    assert started["message"] == "Verification code sent to your phone"
    assert started["phone_code_hash"]
    assert started["type"] in {"app", "sms", "call"}
    listed = hub.get("/sessions").json()
    assert listed["sessions"] == [
        {
            "session_id": "user123",
            "is_connected": False,
            "is_authenticated": False,
            "user_info": None,
            "in_login_cache": True,
        }
    ]
    answer = hub.post(
        "/login/code",
        {
            "session_id": "user123",
            "phone_code": telegram.login_code(PHONE),
            "phone_code_hash": started["phone_code_hash"],
        },
    )
    body = answer.json()
    user = body["user"]
    assert body == {
        "status": "success",
        "message": "Login successful",
        "user": {
            "id": user["id"],
            "first_name": "John",
            "last_name": "Doe",
            "username": "john_doe_100",
            "phone": PHONE,
        },
    }
    assert hub.status("user123") == {
        "session_id": "user123",
        "is_authenticated": True,
        "is_active": True,
        "is_connected": True,
        "user_info": user,
        "in_login_cache": False,
    }


def test_a_wrong_code_leaves_the_login_open(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    start(hub)
    code = telegram.login_code(PHONE)
    refused = hub.post("/login/code", {"session_id": "user123", "phone_code": wrong(code)})
    assert refused.status_code == 400
    assert refused.json()["code"] == "phone_code_invalid"
    answer = hub.post("/login/code", {"session_id": "user123", "phone_code": code})
    assert answer.json()["status"] == "success"


def test_an_expired_code_says_so(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    start(hub)
    code = telegram.login_code(PHONE)
    telegram.faults.fail("auth.signIn", 400, "PHONE_CODE_EXPIRED", times=1)
    refused = hub.post("/login/code", {"session_id": "user123", "phone_code": code})
    assert refused.status_code == 400
    assert refused.json()["code"] == "phone_code_expired"
    assert "expired" in refused.json()["detail"].lower()


def test_two_factor_password_wrong_then_right(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram, password=PASSWORD)
    start(hub)
    body = {"session_id": "user123", "phone_code": telegram.login_code(PHONE)}
    assert hub.post("/login/code", body).json() == {
        "status": "2fa_required",
        "message": "Two-factor authentication is enabled. Please provide your password",
    }
    refused = hub.post("/login/password", {"session_id": "user123", "password": "nonsense"})
    assert refused.status_code == 400
    assert refused.json()["code"] == "password_hash_invalid"
    answer = hub.post("/login/password", {"session_id": "user123", "password": PASSWORD})
    assert answer.json()["status"] == "success"
    assert answer.json()["user"]["first_name"] == "John"


def test_a_login_survives_a_kill_between_code_and_password(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram, password=PASSWORD)
    start(hub)
    hub.kill()
    hub.start()
    assert hub.status("user123")["in_login_cache"] is True
    body = {"session_id": "user123", "phone_code": telegram.login_code(PHONE)}
    assert hub.post("/login/code", body).json()["status"] == "2fa_required"
    hub.kill()
    hub.start()
    answer = hub.post("/login/password", {"session_id": "user123", "password": PASSWORD})
    assert answer.json()["status"] == "success", answer.text
    assert telegram.calls.count("auth.sendCode") == 1


def test_two_logins_for_one_name_at_once(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    other = "+15550100002"
    telegram.world.add_user(phone=other, first_name="Jane")
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda phone: hub.post(
                    "/login/start", {"session_id": "user123", "phone_number": phone}
                ),
                (PHONE, other),
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner = PHONE if answers[0].status_code == 200 else other
    body = {"session_id": "user123", "phone_code": telegram.login_code(winner)}
    assert hub.post("/login/code", body).json()["status"] == "success"


def test_a_second_start_with_the_same_phone_resumes(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    first, second = start(hub), start(hub)
    assert first["phone_code_hash"] == second["phone_code_hash"]
    body = {"session_id": "user123", "phone_code": telegram.login_code(PHONE)}
    assert hub.post("/login/code", body).json()["status"] == "success"


def test_already_logged_in(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    hub.log_in("user123", PHONE, telegram.login_code)
    again = start(hub)
    assert again["status"] == "already_logged_in"
    assert again["message"]


def test_an_account_of_another_data_centre(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram, dc=1)
    user = hub.log_in("user123", PHONE, telegram.login_code)
    assert user["first_name"] == "John"
    hub.kill()
    hub.start()
    hub.wait_connected("user123")


def test_a_number_without_an_account(hub: Hub, telegram: Sandbox) -> None:
    answer = hub.post("/login/start", {"session_id": "nobody", "phone_number": "+15559990000"})
    if answer.status_code == 200:
        body = {"session_id": "nobody", "phone_code": telegram.login_code("+15559990000")}
        answer = hub.post("/login/code", body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "phone_number_unoccupied"


def test_resend_and_cancel(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    started = start(hub)
    early = hub.post("/login/resend", {"session_id": "user123"})
    assert early.status_code == 429
    assert 0 < int(early.headers["Retry-After"]) <= started["timeout"]
    assert hub.post("/login/cancel", {"session_id": "user123"}).status_code == 200
    assert telegram.calls.count("auth.cancelCode") == 1
    body = {"session_id": "user123", "phone_code": telegram.login_code(PHONE)}
    assert hub.post("/login/code", body).status_code == 404


def test_another_phone_under_a_used_name_finds_nothing_of_the_old_account(
    hub: Hub, telegram: Sandbox
) -> None:
    make_john(telegram)
    other = "+15550100002"
    telegram.world.add_user(phone=other, first_name="Jane")
    hub.log_in("user123", PHONE, telegram.login_code)
    assert hub.post("/logout", {"session_id": "user123"}).json() == {
        "status": "success",
        "message": "Logged out successfully",
    }
    assert hub.status("user123")["is_authenticated"] is False
    jane = hub.log_in("user123", other, telegram.login_code)
    assert jane["first_name"] == "Jane"
    assert hub.status("user123")["user_info"] == jane


def test_login_state_lists_while_disconnected(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    start(hub)
    hub.kill()
    hub.start()
    [session] = hub.get("/sessions").json()["sessions"]
    assert session["in_login_cache"] is True
    assert session["is_authenticated"] is False
    assert wait_until(lambda: hub.get("/health").status_code == 200)


def test_flood_wait_on_send_code(hub: Hub, telegram: Sandbox) -> None:
    make_john(telegram)
    telegram.faults.flood("auth.sendCode", 30, times=1)
    refused = hub.post("/login/start", {"session_id": "user123", "phone_number": PHONE})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) in range(28, 31)


def test_parallel_logins_of_different_names(
    hub: Hub, telegram: Sandbox, count: Callable[[int, int], int]
) -> None:
    phones = [f"+1555020{n:04}" for n in range(count(6, 40))]
    for phone in phones:
        telegram.world.add_user(phone=phone, first_name=f"User {phone[-4:]}")
    with ThreadPoolExecutor(6) as pool:
        users = list(pool.map(lambda phone: hub.log_in(phone, phone, telegram.login_code), phones))
    assert [user["phone"] for user in users] == phones
    assert hub.get("/health").json()["active_sessions"] == len(phones)

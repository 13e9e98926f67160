import pytest
from drf_spectacular.generators import SchemaGenerator

from accounts.permissions import scope_for
from accounts.tests.helpers import make_key, make_user
from core import limits

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.urls")]

SCOPES = ["read", "send", "sessions", "admin"]


@pytest.fixture(autouse=True)
def fresh_limits():
    limits.reset()
    yield
    limits.reset()


def bearer(plaintext: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {plaintext}"}


def test_it_works(client):
    _, plaintext = make_key()
    response = client.get("/who", headers=bearer(plaintext))
    assert response.status_code == 200
    assert response.json() == {"user": "alice", "owner": "alice"}


def test_it_refuses_without_a_key(client):
    response = client.get("/who")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["code"] == "missing_key"


def test_it_refuses_a_wrong_key(client):
    response = client.get("/who", headers=bearer("tgh_00000000_" + "a" * 43))
    assert response.status_code == 401
    assert response.json()["code"] == "wrong_key"


def test_a_key_in_the_url_is_no_key(client):
    _, plaintext = make_key()
    assert client.get("/who", {"api_key": plaintext, "key": plaintext}).status_code == 401


def test_a_browser_session_is_no_key(client):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    assert client.get("/who").status_code == 401


def test_a_revoked_key_ends_at_the_next_call(client):
    key, plaintext = make_key()
    assert client.get("/who", headers=bearer(plaintext)).status_code == 200
    key.revoke()
    response = client.get("/who", headers=bearer(plaintext))
    assert (response.status_code, response.json()["code"]) == (401, "revoked_key")


@pytest.mark.parametrize("needed", SCOPES)
@pytest.mark.parametrize("given", SCOPES)
def test_every_scope_opens_its_own_views(client, given, needed):
    _, plaintext = make_key(scopes=[given])
    response = client.get(f"/{needed}", headers=bearer(plaintext))
    if given in (needed, "admin"):
        assert response.status_code == 200
    else:
        assert response.status_code == 403
        assert response.json()["code"] == "missing_scope"
        assert f"'{needed}'" in response.json()["detail"]


def test_a_key_without_scopes_opens_nothing(client):
    _, plaintext = make_key(scopes=[])
    for scope in SCOPES:
        assert client.get(f"/{scope}", headers=bearer(plaintext)).status_code == 403


def test_scopes_by_method(client):
    _, plaintext = make_key(scopes=["read"])
    assert client.get("/by-method", headers=bearer(plaintext)).status_code == 200
    assert client.post("/by-method", headers=bearer(plaintext)).status_code == 403
    _, plaintext = make_key(scopes=["send"])
    assert client.post("/by-method", headers=bearer(plaintext)).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("get", "/forgotten"), ("delete", "/by-method")])
def test_a_view_that_names_no_scope_serves_nobody(client, caplog, method, path):
    _, plaintext = make_key()
    response = getattr(client, method)(path, headers=bearer(plaintext))
    assert response.status_code == 403
    assert "names no scope" in caplog.text


def test_a_method_that_is_not_there_is_told_so(client, caplog):
    _, plaintext = make_key(scopes=["read"])
    response = client.put("/by-method", headers=bearer(plaintext))
    assert response.status_code == 405
    assert "POST" in response["Allow"]
    assert client.options("/by-method", headers=bearer(plaintext)).status_code == 200
    assert client.put("/by-method").status_code == 401
    assert "names no scope" not in caplog.text


def test_head_needs_what_get_needs():
    class View:
        required_scope = {"GET": "read"}

    assert scope_for(View, "HEAD") == "read"
    assert scope_for(View, "PUT") is None
    assert scope_for(object(), "GET") is None


def test_another_users_sessions_need_admin(client):
    make_user("bob")
    _, plaintext = make_key(scopes=["read"])
    assert client.get("/who?user=bob", headers=bearer(plaintext)).status_code == 403
    _, plaintext = make_key(scopes=["admin"])
    assert client.get("/who?user=bob", headers=bearer(plaintext)).json()["owner"] == "bob"
    assert client.get("/who?user=nobody", headers=bearer(plaintext)).status_code == 404


def test_open_mode(client, settings):
    settings.TGHUB_AUTH = "open"
    response = client.get("/who", headers={"Host": "localhost:8000"})
    assert response.json() == {"user": "local", "owner": "local"}


@pytest.mark.parametrize(
    "extra",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"headers": {"Host": "localhost", "Origin": "https://evil.example"}},
        {"headers": {"Host": "localhost", "X-Forwarded-For": "127.0.0.1"}},
        {"headers": {"Host": "testserver"}},
    ],
)
def test_open_mode_refuses_everybody_else(client, settings, extra):
    settings.TGHUB_AUTH = "open"
    extra.setdefault("headers", {"Host": "localhost"})
    response = client.get("/who", **extra)
    assert response.status_code == 403
    assert response.json()["code"] == "open_mode_is_local"


def test_calls_are_counted_per_key(client, settings):
    settings.TGHUB_RATES = {"call": "2/hour"}
    _, first = make_key()
    _, second = make_key()
    assert [client.get("/who", headers=bearer(first)).status_code for _ in range(3)] == [
        200,
        200,
        429,
    ]
    assert client.get("/who", headers=bearer(second)).status_code == 200


def test_forged_addresses_make_no_difference(client, settings):
    settings.TGHUB_RATES = {"failed_key": "5/hour"}
    codes = [
        client.get(
            "/who",
            headers={
                **bearer("guess"),
                "X-Forwarded-For": f"10.0.0.{n}",
                "X-Real-IP": f"10.1.1.{n}",
            },
        ).status_code
        for n in range(8)
    ]
    assert codes == [401] * 5 + [429] * 3


def test_the_schema_tells_of_keys():
    schema = SchemaGenerator(urlconf="accounts.tests.urls").get_schema(request=None, public=True)
    assert schema["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "tgh_…"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    assert schema["paths"]["/who"]["get"]["security"] == [{"bearer": []}, {"apiKey": []}]

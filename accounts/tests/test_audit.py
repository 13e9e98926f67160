import pytest

from accounts.models import AppendOnlyError, AuditEvent, record
from accounts.tests.helpers import make_key
from core.request_id import enter_request

pytestmark = pytest.mark.django_db


def test_it_works():
    enter_request("request-3")
    key, _ = make_key()
    record(
        "session.logged_out", user=key.user, key=key, target="_john", ip="192.0.2.1", why="asked"
    )
    row = AuditEvent.objects.get()
    assert (row.username, row.key_prefix, row.action) == ("alice", key.prefix, "session.logged_out")
    assert (row.target, row.ip, row.request_id) == ("_john", "192.0.2.1", "request-3")
    assert row.details == {"why": "asked"}


def test_it_refuses_changes():
    row = record("x")
    row.action = "y"
    with pytest.raises(AppendOnlyError):
        row.save()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.get().save(update_fields=["action"])
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.update(action="y")
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.filter(action="x").bulk_update([row], ["action"])
    assert AuditEvent.objects.get().action == "x"


def test_it_refuses_removal():
    row = record("x")
    with pytest.raises(AppendOnlyError):
        row.delete()
    with pytest.raises(AppendOnlyError):
        AuditEvent.objects.all().delete()
    assert AuditEvent.objects.count() == 1


def test_it_outlives_the_user():
    key, _ = make_key()
    record("x", user=key.user, key=key)
    key.user.delete()
    assert AuditEvent.objects.get().username == "alice"

"""What the hub's management commands share."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


class DatabaseCommand(BaseCommand):
    """A command that also works where no hub has made the tables yet, or a former one did."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        apply_migrations()
        return super().execute(*args, **options)


def apply_migrations() -> None:
    """Bring an embedded database up to date; ask for it where several machines share one.

    Raises CommandError.
    """
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not pending:
        return
    if not settings.IS_SQLITE:
        raise CommandError("The database is not up to date: run `manage.py migrate` first.")
    call_command("migrate", interactive=False, verbosity=0)

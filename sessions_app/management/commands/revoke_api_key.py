"""Make an API key useless from now on."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.models import ApiKey, record
from core.commands import DatabaseCommand


class Command(DatabaseCommand):
    help = "Make an API key useless from now on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prefix", help="as list_api_keys shows it")

    def handle(self, *args: Any, prefix: str, **options: Any) -> None:
        # Also as a copy from a key or a log shows it: tgh_1a2b3c4d_…
        prefix = prefix.removeprefix("tgh_").split("_")[0]
        key = ApiKey.objects.filter(prefix=prefix).first()
        if key is None:
            raise CommandError(f"There is no key with the prefix {prefix}.")
        if not key.revoke():
            self.stdout.write(f"The key {key} was revoked before.")
            return
        record("api_key.revoked", target=key, owner=key.user.get_username())
        self.stdout.write(f"The key {key} is revoked.")

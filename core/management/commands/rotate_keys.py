from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from core.commands import DatabaseCommand
from core.crypto import CryptoError
from core.rotation import rotate


class Command(DatabaseCommand):
    help = (
        "Encrypt every stored secret with the first key of TGHUB_ENCRYPTION_KEYS. "
        "Can be stopped and started again; afterwards the older keys are no longer needed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=int, default=200, help="rows per transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for column, rotated, current in rotate(batch=max(1, options["batch"])):
                self.stdout.write(f"{column}: {rotated} rotated, {current} were current")
        except CryptoError as error:
            raise CommandError(str(error)) from None

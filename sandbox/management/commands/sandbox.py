"""`manage.py sandbox`: a Telegram on loopback, until it is stopped."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import BaseCommand

from sandbox import process


class Command(BaseCommand):
    help = "Run a Telegram data centre on loopback; prints one line of JSON when ready."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        process.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        process.run(Namespace(**options))

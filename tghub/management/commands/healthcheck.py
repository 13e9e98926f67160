"""Ask the running hub how it is; for container health checks."""

from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Ask the running hub how it is; exit code 1 when it is not healthy."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        url = f"http://127.0.0.1:{settings.TGHUB_PORT}/health"
        try:
            with urlopen(Request(url, headers={"Host": "localhost"}), timeout=4) as answer:
                self.stdout.write(answer.read().decode())
        except (URLError, OSError) as error:
            raise CommandError(f"Not healthy: {error}") from error

"""List the error texts that a catalogue lacks."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from core.texts import error_texts
from core.translations import catalogue

ROOMS = ("core", "accounts", "engine", "sessions_app", "scraper", "realtime", "tghub")
ROOT = Path(__file__).resolve().parent.parent.parent.parent


class Command(BaseCommand):
    help = "List the error texts that have no translation yet, as entries for the catalogue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("language", nargs="?", default="ru")

    def handle(self, *args: Any, language: str, **options: Any) -> None:
        known = catalogue(language)
        places = dict(error_texts(*(ROOT / room for room in ROOMS)))
        missing = {text: place for text, place in places.items() if text not in known}
        for text, place in missing.items():
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            self.stdout.write(f'#: {place}\nmsgid "{quoted}"\nmsgstr ""\n')
        self.stderr.write(f"{len(places) - len(missing)} of {len(places)} texts are translated")

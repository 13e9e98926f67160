"""The commands `tgsc-auth` and `tgsc-server`.

Where the data is has to be known before Django reads its settings, so nothing that needs them
is imported on top.
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from tghub import arguments


def auth(argv: Sequence[str] | None = None) -> None:
    """Log a Telegram account in at the terminal."""
    parser = ArgumentParser(
        prog="tgsc-auth",
        description="Log a Telegram account in, by QR code or phone, also beside a running hub.",
    )
    parser.add_argument("name", help="what to call the session: your X-Telegram-Username")
    _data_dir(parser)
    parser.add_argument(
        "--user", metavar="USER", default="", help="who owns the session (default: local)"
    )
    given = parser.parse_args(argv)
    _set_up(given.data_dir)
    sys.exit(_authenticate(given.name, given.user))


def server(argv: Sequence[str] | None = None) -> None:
    """Serve the hub."""
    parser = ArgumentParser(prog="tgsc-server", description="Serve the hub.")
    _data_dir(parser)
    parser.add_argument(
        "--host", help="address to listen on (default: 0.0.0.0; 127.0.0.1 in open mode)"
    )
    parser.add_argument("--port", type=arguments.port, help="default: 8000; 0: any free one")
    parser.add_argument(
        "--settings",
        metavar="FILE",
        type=Path,
        help="YAML to import; overwrites settings.yaml in the data directory",
    )
    given = parser.parse_args(argv)
    _set_up(given.data_dir)
    sys.exit(_serve(given.host, given.port, given.settings))


def _data_dir(parser: ArgumentParser) -> None:
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept: ./data")


def _set_up(data_dir: str | None) -> None:
    if data_dir is not None:
        os.environ["DATA_DIR"] = data_dir
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tghub.settings")
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as exc:
        sys.exit(_fail(str(exc)))


def _authenticate(name: str, username: str) -> int:
    from django.core.management.base import CommandError

    from accounts.callers import LOCAL_USERNAME, Caller
    from accounts.models import ALL_SCOPES, User
    from core.commands import apply_migrations
    from core.errors import ApiError
    from engine.errors import EngineError
    from scraper.auth_prompt import GivenUp, authenticate, real_terminal
    from sessions_app.run_engine import engine_for_command

    try:
        apply_migrations()
        user, created = User.objects.get_or_create(username=username or LOCAL_USERNAME)
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        with engine_for_command():
            authenticate(Caller(user, None, ALL_SCOPES), name, real_terminal())
    except KeyboardInterrupt:
        return _fail("\nCancelled.", 130)
    except (ApiError, EngineError) as exc:
        return _fail(exc.detail)
    except (GivenUp, CommandError) as exc:
        return _fail(str(exc))
    return 0


def _serve(host: str | None, port: int | None, template: Path | None) -> int:
    from django.conf import settings
    from django.core.management import call_command
    from django.core.management.base import CommandError, SystemCheckError

    from core.errors import ApiError
    from scraper import runtime_settings

    if host is None:
        host = os.environ.get("TGHUB_HOST") or (
            "127.0.0.1" if settings.TGHUB_AUTH == "open" else "0.0.0.0"
        )
    try:
        if template is not None:
            runtime_settings.replace(runtime_settings.to_yaml(runtime_settings.read(template)))
        runtime_settings.current()
        call_command(
            "serve",
            host=host,
            port=settings.TGHUB_PORT if port is None else port,
            skip_checks=False,
        )
    except KeyboardInterrupt:
        return 130
    except ApiError as exc:
        return _fail(f"{template}: {exc.detail}")
    except SystemCheckError as exc:
        return _fail(str(exc))
    except CommandError as exc:
        return _fail(str(exc), exc.returncode)
    return 0


def _fail(text: str, code: int = 1) -> int:
    print(text, file=sys.stderr)
    return code

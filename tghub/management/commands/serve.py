"""Serve the hub: HTTP, WebSocket and the Telegram engine in one process."""

import gc
import ipaddress
import logging
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.commands import apply_migrations
from tghub import arguments

logger = logging.getLogger(__name__)

EXIT_SECONDS = 1.0


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Command(BaseCommand):
    help = "Serve the hub: HTTP, WebSocket and the Telegram engine in one process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.TGHUB_HOST)
        parser.add_argument(
            "--port", type=arguments.port, default=settings.TGHUB_PORT, help="0: any free one"
        )
        parser.add_argument(
            "--until-eof",
            action="store_true",
            help="stop when standard input ends, and with it the program that started the hub",
        )

    def handle(
        self, *args: Any, host: str, port: int, until_eof: bool = False, **options: Any
    ) -> None:
        refuse_open_hub_on_the_network(host)
        # Only now: Daphne installs its reactor when it is imported.
        from core.logs import log_uncaught
        from sessions_app.run_engine import serving
        from tghub.asgi import application
        from tghub.server import HubServer

        log_uncaught()
        if until_eof:
            threading.Thread(target=stop_at_eof, name="stdin", daemon=True).start()
        with serving() as node:
            apply_migrations()
            warn_of_missing_credentials()
            share_the_interpreter()

            def listening(bound_port: int) -> None:
                # The port is ours: callers wait in its queue for the moment that this takes.
                node.start()
                shown = f"[{host}]" if ":" in host else host
                print(f"ready: http://{shown}:{bound_port}", flush=True)

            # A colon would end the interface in Twisted's endpoint language.
            interface = host.strip("[]").replace(":", r"\:")
            server = HubServer(
                application,
                endpoints=[f"tcp:port={port}:interface={interface}"],
                on_listening=listening,
                request_buffer_size=64 * 1024,
                websocket_max_message_size=64 * 1024,
                websocket_max_frame_size=64 * 1024,
                application_close_timeout=5,
                verbosity=1,
            )
            server.run()
            logger.info("Stopping")
        if server.error is not None:
            raise explained(server.error, host, port)
        leave_threads_behind()


def stop_at_eof() -> None:
    """Do as on SIGTERM when standard input ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def leave_threads_behind() -> None:
    """End soon, though Python would wait for threads that the database keeps waiting.

    Everything is closed by now; what they would store is asked for again, or was refused.
    """
    last = threading.Timer(EXIT_SECONDS, os._exit, [0])
    last.daemon = True
    last.start()


def explained(error: BaseException, host: str, port: int) -> BaseException:
    """Turn what kept the hub from starting into a message, where one is known."""
    from twisted.internet.error import CannotListenError

    if isinstance(error, CannotListenError):
        return CommandError(f"{host} port {port} cannot be used: {error.socketError}")
    return error


def refuse_open_hub_on_the_network(host: str) -> None:
    """Open mode has no keys: it answers only this machine unless told otherwise."""
    if settings.TGHUB_AUTH == "open" and not is_loopback(host) and not settings.TGHUB_OPEN_ANYWHERE:
        raise CommandError(
            f"TGHUB_AUTH=open serves without keys and does not listen on {host}. Use 127.0.0.1, "
            "set TGHUB_AUTH=keys, or set TGHUB_OPEN_ANYWHERE=1 if you really mean it."
        )


def warn_of_missing_credentials() -> None:
    if not settings.TELEGRAM["API_ID"] or not settings.TELEGRAM["API_HASH"]:
        logger.warning(
            "TELEGRAM_API_ID and TELEGRAM_API_HASH are not set: nobody can log in. "
            "Get them at https://my.telegram.org/apps."
        )


def share_the_interpreter() -> None:
    """Keep answers short while worker threads parse Telegram's pages.

    With CPython's 5 ms switch interval a busy thread can starve the web loop for seconds, since
    each request takes the interpreter back ten times; 0.3 ms cost pages of history a few percent.
    Collecting the whole start-up heap again and again costs as much.
    """
    sys.setswitchinterval(0.0003)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)

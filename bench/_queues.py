"""The yardstick of fan-out: a bare set of queues on the hub's own server.

`python -m bench._queues` (the environment is a hub's) prints `ready: PORT`. Each WebSocket gets
what comes in as the body of `POST /`, one frame a line. It ends with its standard input.
"""

import asyncio
import os
import signal
import sys
import threading
from typing import Any

queues: set["asyncio.Queue[str]"] = set()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        for line in body.decode().splitlines():
            for queue in queues:
                queue.put_nowait(line)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            await send({"type": "websocket.send", "text": await queue.get()})
    finally:
        queues.discard(queue)


def end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tghub.settings")
    import django

    django.setup()
    from tghub.management.commands.serve import share_the_interpreter
    from tghub.server import HubServer

    share_the_interpreter()
    threading.Thread(target=end_with_input, daemon=True).start()
    HubServer(
        application,
        endpoints=["tcp:port=0:interface=127.0.0.1"],
        on_listening=lambda port: print(f"ready: {port}", flush=True),
        verbosity=0,
    ).run()


if __name__ == "__main__":
    main()

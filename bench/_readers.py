"""So many clients of one stream in a process of their own: `python -m bench._readers URL PATH N`.

Prints `begun` when each has its first message and, when its standard input closes, a JSON list:
the id of the last message that each has got.
"""

import json
import selectors
import socket
import sys
from urllib.parse import urlsplit

from bench._rig import ask

MARK = b"id: "


def read(url: str, path: str, count: int) -> list[int]:
    address = urlsplit(url)
    last: dict[socket.socket, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for _ in range(count):
            connection = socket.create_connection((address.hostname, address.port))
            connection.sendall(ask(address.netloc, path))
            last[connection] = 0
            selector.register(connection, selectors.EVENT_READ)
        begun = False
        while True:
            for key, _ in selector.select():
                connection = key.fileobj  # type: ignore[assignment]
                if connection is sys.stdin:
                    return list(last.values())
                chunk = connection.recv(1 << 18)
                if not chunk:
                    raise EOFError("A stream has ended: it is too short for this measure.")
                start = chunk.rfind(MARK)
                end = chunk.find(b"\n", start)
                if start >= 0 and chunk[start + len(MARK) : end].isdigit():
                    last[connection] = int(chunk[start + len(MARK) : end])
            if not begun and all(last.values()):
                begun = True
                print("begun", flush=True)


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], sys.argv[2], int(sys.argv[3]))), flush=True)

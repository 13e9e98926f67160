"""A sandbox in a process of its own that posts on order: `python -m bench._pusher`.

Prints one line of JSON as `bench._telegram` does. Each line of its standard input is an order,
`RATE COUNT` (rate 0: as fast as it can), answered by one line when all is posted. The text of
every post begins with the nanoseconds of its moment. It ends with its standard input.
"""

import json
import sys
import time
from typing import Any

from bench._telegram import world
from sandbox import Sandbox
from sandbox.world import World


def push(made: World, channel: Any, rate: float, count: int) -> None:
    """Post so many messages, evenly spaced."""
    began = time.monotonic()
    for number in range(count):
        if rate and (early := began + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        made.post(channel, channel, f"{time.time_ns()} {number}")


def main() -> None:
    made, channel = world(10)
    with Sandbox(world=made) as sandbox:
        print(json.dumps({**sandbox.status(), "peer": channel.peer}), flush=True)
        for line in sys.stdin:
            rate, count = line.split()
            push(made, channel, float(rate), int(count))
            print(json.dumps({"posted": int(count)}), flush=True)


if __name__ == "__main__":
    main()

"""A sandbox in a process of its own with one long channel: `python -m bench._telegram N`.

Prints one line of JSON (`dc`, `public_key_file`, `control_port`, `peer`) and serves until its
standard input closes.
"""

import json
import random
import sys
from typing import Any

from sandbox import Sandbox
from sandbox.world import World

PHONE = "+15550000001"
READER = "+15550000002"
TEXT = "the quick brown fox jumps over a lazy dog съешь ещё этих мягких французских булок"
WORDS = TEXT.split()


def world(posts: int) -> tuple[World, Any]:
    """Make a world whose one channel has so many posts of about 200 characters."""
    made = World(seed=1)
    owner = made.add_user("Owner", phone=PHONE)
    reader = made.add_user("Reader", phone=READER)
    channel = made.add_channel("Bench", owner, [reader], username="bench_channel")
    chance = random.Random(1)
    for number in range(posts - 1):
        text = " ".join(chance.choices(WORDS, k=chance.randint(10, 60)))
        made.post(channel, channel, f"{number} {text}", views=number)
    return made, channel


def main() -> None:
    made, channel = world(int(sys.argv[1]))
    with Sandbox(world=made) as sandbox:
        print(json.dumps({**sandbox.status(), "peer": channel.peer}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

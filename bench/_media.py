"""A sandbox in a process of its own with one channel of files: `python -m bench._media`.

Prints one line of JSON (as `bench._telegram` does) and serves until its standard input closes.
Message 2 has the large file, 3 to 22 have the small ones.
"""

import json
import sys

from sandbox import Sandbox
from sandbox.world import World
from sandbox.world.blobs import Blob

PHONE = "+15550000001"
READER = "+15550000002"
LARGE = 100 * 1000 * 1000
SMALL = LARGE // 20


def main() -> None:
    world = World(seed=1)
    owner = world.add_user("Owner", phone=PHONE)
    reader = world.add_user("Reader", phone=READER)
    channel = world.add_channel("Files", owner, [reader], username="bench_files")
    for number, size in enumerate([LARGE, *[SMALL] * 20]):
        film = world.add_document(Blob(size, seed=number), f"{number}.mp4", "video/mp4")
        world.post(channel, channel, "", media=film)
    with Sandbox(world=world) as sandbox:
        print(json.dumps({**sandbox.status(), "peer": channel.peer}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

"""A client of the ASGI application, which may read slowly and leave early."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from accounts.models import ALL_SCOPES, create_key
from scraper.tests.rig import run
from sessions_app.tests.helpers import make_user
from tghub.asgi import application


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    aborted: bool = False

    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """Calls the hub as one user with a key of their own."""

    def __init__(self, owner: str = "alice", scopes: Any = ALL_SCOPES) -> None:
        _, self.key = create_key(user=make_user(owner), scopes=scopes)

    def get(self, path: str, session: Any = None, **options: Any) -> Answer:
        return run(self.aget(path, session, **options))

    async def aget(
        self,
        path: str,
        session: Any = None,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
        on_chunk: Any = None,
    ) -> Answer:
        """Call; with `leave_after` bytes the client goes away."""
        sent = {"host": "localhost", "authorization": f"Bearer {self.key}", **(headers or {})}
        if session is not None:
            sent["x-telegram-username"] = session.name
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("localhost", 8000),
            "scheme": "http",
        }
        answer, gone = Answer(), asyncio.Event()
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
                return
            if message.get("abort"):
                answer.aborted = True
                return
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body")
            if on_chunk is not None:
                await on_chunk(answer)
            if leave_after is not None and len(answer.body) >= leave_after:
                gone.set()
                await asyncio.Event().wait()

        await application(scope, receive, send)
        return answer


class Scene:
    """Ann and her channel, in which files are posted."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.web = Web()
        self.ann = rig.person("Ann")
        self.channel = rig.world.add_channel("Files", self.ann, username="files_channel")
        self.session = rig.log_in(self.ann)
        self.posted = 1

    def post(self, blob: Any, name: str = "film.mp4", kind: str = "video/mp4", **facts: Any) -> str:
        """Post a file and return its uuid, as the history tells it."""
        document = self.rig.world.add_document(blob, name, kind, **facts)
        return self.post_media(document)

    def post_media(self, media: Any, session: Any = None) -> str:
        self.rig.world.post(self.channel, self.channel, "look", media=media)
        self.posted += 1
        return self.newest(session or self.session)

    def newest(self, session: Any) -> str:
        """Return the newest file's uuid, once its message has come."""

        def last() -> Any:
            found = self.rig.read(session, self.channel.peer).messages[-1]
            return found if found["message_id"] == self.posted else None

        self.rig.wait_until(last)
        return str(last()["media"]["uuid"])

    def get(self, uuid: str, session: Any = None, web: Any = None, **options: Any) -> Answer:
        return (web or self.web).get(path_of(uuid), session or self.session, **options)

    def fetches(self) -> int:
        return int(self.rig.sandbox.calls.count("upload.getFile"))


def path_of(uuid: str) -> str:
    return f"/api/v3/files/{uuid}"

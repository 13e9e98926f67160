#!/usr/bin/env python
"""Walk a running hub's API and print what it answers.

    python test_api.py [http://localhost:8000] [--key KEY] [--phone +1234567890]

Without `--phone` nothing is changed. With it a session `test_api` is logged in, asking for
the code, shown, and destroyed again.
"""

import argparse
import json
import sys
from getpass import getpass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

SESSION = "test_api"


class Hub:
    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["Authorization"] = f"Bearer {key}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print one exchange and return the answer's JSON."""
        content = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, content, self.headers, method=method)
        try:
            with urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except HTTPError as error:
            status, text = error.code, error.read()
        result: dict[str, Any] = json.loads(text)
        print(f"\n{method} {path} -> {status}")
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return result


def walk(hub: Hub) -> None:
    hub.ask("GET", "/")
    hub.ask("GET", "/health")
    listed = hub.ask("GET", "/sessions")
    for session in listed.get("sessions", []):
        hub.ask("GET", f"/session/{session['session_id']}/status")


def log_in_and_out(hub: Hub, phone: str) -> None:
    started = hub.ask("POST", "/login/start", {"session_id": SESSION, "phone_number": phone})
    if started.get("status") != "success":
        return
    code = input("\nCode: ").strip()
    answer = hub.ask("POST", "/login/code", {"session_id": SESSION, "phone_code": code})
    if answer.get("status") == "2fa_required":
        hub.ask("POST", "/login/password", {"session_id": SESSION, "password": getpass()})
    hub.ask("GET", f"/session/{SESSION}/status")
    hub.ask("POST", "/logout", {"session_id": SESSION})
    hub.ask("DELETE", f"/session/{SESSION}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Walk a running hub's API.")
    parser.add_argument("url", nargs="?", default="http://localhost:8000")
    parser.add_argument("--key", default="", help="an API key; not needed in open mode")
    parser.add_argument("--phone", default="", help="log this number in and out again")
    options = parser.parse_args()
    hub = Hub(options.url, options.key)
    try:
        walk(hub)
        if options.phone:
            log_in_and_out(hub, options.phone)
    except URLError as error:
        print(f"No hub answers at {options.url}: {error.reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

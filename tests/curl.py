"""Run a documented curl line without curl: the same request, through httpx."""

import shlex

import httpx


def run_curl(line: str, *, base: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Send what a `curl` line says to the hub at `base` instead of localhost:8000."""
    words = shlex.split(line.replace("\\\n", " "))
    assert words[0] == "curl", line
    method, url, content = "GET", "", None
    given = dict(headers or {})
    position = 1
    while position < len(words):
        word = words[position]
        if word in ("-X", "-H", "-d"):
            position += 1
            value = words[position]
            if word == "-X":
                method = value
            elif word == "-d":
                content = value.encode()
            else:
                name, _, text = value.partition(":")
                given[name.strip()] = text.strip()
        elif word != "-N":
            url = word
        position += 1
    if content is not None and "-X" not in words:
        method = "POST"
    for place in ("http://localhost:8000", "http://127.0.0.1:8000"):
        url = url.replace(place, base)
    return httpx.request(method, url, content=content, headers=given, timeout=60)

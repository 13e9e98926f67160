"""Run a documented curl line without curl: the same request, through httpx."""

import os
import shlex
from collections.abc import Mapping
from string import Template

import httpx

VALUED = {"-X", "-H", "-d", "-o", "--output"}
PLAIN = {"-N", "-s", "-sS", "-f", "-i"}
PLACES = ("http://localhost:8000", "http://127.0.0.1:8000")


def run_curl(
    line: str,
    *,
    base: str,
    headers: dict[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send what a `curl` line says to the hub at `base` instead of localhost:8000.

    `variables` are those of the shell (`$NAME`, `${NAME}`). What `-o` names is not written.
    """
    text = line.replace("\\\n", " ")
    if variables:
        text = Template(text).safe_substitute(variables)
    words = shlex.split(text, comments=True)
    assert words[0] == "curl", line
    method, url, content = "", "", None
    given = dict(headers or {})
    rest = iter(words[1:])
    for word in rest:
        if word not in VALUED:
            if word not in PLAIN:
                assert not word.startswith("-"), word
                url = word
            continue
        value = next(rest)
        if word == "-X":
            method = value
        elif word == "-d":
            content = value.encode()
        elif word == "-H":
            name, _, text = value.partition(":")
            given[name.strip()] = text.strip()
    for place in PLACES:
        url = url.replace(place, base)
    assert os.path.commonprefix([url, base]) == base, url
    method = method or ("GET" if content is None else "POST")
    return httpx.request(method, url, content=content, headers=given, timeout=60)

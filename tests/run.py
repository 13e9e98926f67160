"""Run the whole suite: all of it on SQLite, what differs by database on PostgreSQL too.

    python -m tests.run [pytest options]

`TGHUB_PROVE=1` runs the same tests at their full counts, which take longer than a test may
otherwise. A skipped test fails the run: what was not run was not shown.
"""

import os
import re
import subprocess
import sys

from tests.services import postgresql, redis

PROVE_TIMEOUT_SECONDS = 3600


def run_pytest(words: list[str], environment: dict[str, str]) -> dict[str, int]:
    """Run pytest and return its closing counts: passed, failed, skipped, error."""
    closing = ""
    # Where it is set, each hub that a test starts compiles the whole project anew.
    inherited = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *words],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if re.search(r"\d+ (passed|failed|skipped|error)", line):
                closing = line
    counts = {kind.rstrip("s"): int(n) for n, kind in re.findall(r"(\d+) (\w+)", closing)}
    if process.returncode and not (counts.get("failed") or counts.get("error")):
        counts["error"] = 1
    return counts


def main() -> int:
    # A file's tests stay on one worker: they share the hub that its first test started.
    options = ["--dist", "loadfile", *sys.argv[1:]]
    if os.environ.get("TGHUB_PROVE"):
        options.insert(0, f"--timeout={PROVE_TIMEOUT_SECONDS}")
    with postgresql() as database_url, redis() as redis_url:
        services = {"TEST_POSTGRESQL_URL": database_url, "TEST_REDIS_URL": redis_url}
        print("== SQLite", flush=True)
        sqlite = run_pytest(options, services)
        print("== PostgreSQL: what differs by database", flush=True)
        # The server goes with the run: nobody has to wait for a database to be dropped.
        on_postgresql = run_pytest(
            [*options, "-m", "database and not browser", "--reuse-db"],
            {**services, "TEST_DATABASE_URL": database_url},
        )
    total = {kind: sqlite.get(kind, 0) + on_postgresql.get(kind, 0) for kind in _KINDS}
    failed = total["failed"] + total["error"]
    print(f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped", flush=True)
    ran_both = sqlite.get("passed") and on_postgresql.get("passed")
    return 0 if ran_both and not failed and not total["skipped"] else 1


_KINDS = ("passed", "failed", "skipped", "error")

if __name__ == "__main__":
    sys.exit(main())

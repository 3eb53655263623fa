"""`geventchat` as a process that a test runs to its end, or a server that it stops."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = (sys.executable, "-m", "geventchat")
SERVE = (*COMMAND, "serve", "--port", "0", "--timeline", "memory:")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def refusal(*arguments: str, code: int = 2, **environment: str) -> str:
    """Return the only line of a command that fails."""
    done = run(*arguments, **environment)
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*SERVE, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def port(line: str) -> int:
    found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
    assert found, line
    return int(found[1])

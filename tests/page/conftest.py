"""Asks the modules of the page, which Node runs; skipped where it is missing, unless required."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs the page's modules."""
    node = shutil.which("node")
    if node is None:
        if os.environ.get("NODE") == "required":
            pytest.fail("Node is missing, and required here")
        pytest.skip("needs Node")
    return node


@pytest.fixture(scope="session")
def ask(node: str) -> Iterator[Ask]:
    """Call a function of the page and return its value; ValueError if it throws."""
    with subprocess.Popen(
        [node, Path(__file__).with_name("modules.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None

        def asked(*question: object) -> Any:
            print(json.dumps(question), file=questions, flush=True)
            answer = json.loads(answers.readline())
            if "error" in answer:
                raise ValueError(answer["error"])
            return answer.get("value")

        yield asked
        questions.close()

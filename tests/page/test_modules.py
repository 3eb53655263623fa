"""The modules of the page that need no browser, tested by Node's own test runner."""

import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.test.js")), ids=lambda file: file.stem)
def test_the_tests_of_a_module_pass(node: str, file: Path) -> None:
    ran = subprocess.run(
        [node, "--test", file],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
    )
    assert ran.returncode == 0, ran.stdout

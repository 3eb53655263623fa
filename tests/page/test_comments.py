"""What is sent of a module is the same program, without its comments."""

import json
import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from geventchat.server.web import site

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "geventchat" / "page"


def test_no_code_is_lost_with_the_comments(node: str) -> None:
    if not (ROOT / "node_modules" / "typescript").exists():
        if os.environ.get("NODE") == "required":
            pytest.fail("TypeScript is missing, and required here: npm ci")
        pytest.skip("needs TypeScript: npm ci")
    modules = {
        path: file.body.decode() for path, file in site.load().items() if path.endswith(".js")
    }
    pairs = [((PAGE / path[1:]).read_text("utf-8"), sent) for path, sent in modules.items()]
    assert any(whole != sent for whole, sent in pairs)
    ran = subprocess.run(
        [node, Path(__file__).with_name("same_code.mjs")],
        input=json.dumps(pairs), check=True, capture_output=True, encoding="utf-8", timeout=50,
    )  # fmt: skip
    assert [list(modules)[number] for number in json.loads(ran.stdout)] == []

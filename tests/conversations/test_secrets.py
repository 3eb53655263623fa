"""The log holds no secret, and nobody can write a line of it."""

import json
import re
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.conversations.peers import Plain, Rich, encode
from tests.process import served

PASSWORD: Final = "correct-horse-battery"
TOKEN: Final = "the-token-of-this-server"
CLIENT: Final = "client-id-of-a-test-1234"
WRONG: Final = ("wrong-password-of-a-test", "wrong-token-of-a-test")
FORGED: Final = "x\n2026-01-01T00:00:00.000Z INFO geventchat: forged\r\x85\u2028\x1b[2J"


def hello(address: tuple[str, int], **fields: object) -> list[bytes]:
    """Send a hello and an action of operators, and return the answers until the server closes."""
    with Plain(address) as peer:
        said = {"type": "hello", "version": 1, "client": CLIENT, **fields}
        peer.send(b"\x1e" + encode(said), encode({"type": "bye"}))
        return peer.rest()


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_event_is_one_line_and_no_secret_is_in_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "operator").write_text(TOKEN)
    files = [f"--{name}-file={tmp_path / name}" for name in ("password", "operator")]
    with served(tmp_path, *files, "--log-format", form, "--echo") as server:
        for secrets in (
            {"password": WRONG[0]},
            {"token": WRONG[1]},
            {"password": PASSWORD, "token": WRONG[1]},
            {"password": PASSWORD, "nick": FORGED, "rooms": {FORGED: None}},
            {"password": PASSWORD, "token": TOKEN, "nonce": FORGED, "id": FORGED},
            {"password": [PASSWORD], "token": {TOKEN: 1}},
        ):
            assert hello(server.address, **secrets)
        with Rich(server.address, "Olga", password=PASSWORD, token=TOKEN) as olga:
            fields = {"target": FORGED, "reason": FORGED, "token": WRONG[1]}
            olga.ask("admin", action="mute", **fields)
            olga.ask("admin", action="close", reason=FORGED, token=TOKEN)
            olga.say("lobby", FORGED)
            olga.posts(1)
        server.signal(signal.SIGTERM)
        server.wait(30)
        log = (tmp_path / "log").read_bytes()
    for secret in (PASSWORD, TOKEN, CLIENT, *WRONG):
        assert secret.encode() not in log
    assert b"close" in log
    lines = log.decode().split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.isprintable()
        if form == "json":
            assert json.loads(line)["message"]
        else:
            assert re.match(r"20\d\d-\S+Z [A-Z]+ geventchat|\d\d:\d\d #|\S+ ", line)
            assert not line.startswith("2026-01-01T00:00:00")

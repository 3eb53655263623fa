"""What docs/protocol.md shows and lists is what the code does."""

import json
import re
from pathlib import Path
from typing import Final, get_args

import pytest

from geventchat.protocol import errors, events, requests
from geventchat.protocol.errors import ErrorCode, Reason
from geventchat.protocol.websocket import CLOSE_CODES, UNACCEPTED

DOCUMENT: Final = Path(__file__, "../../../docs/protocol.md").resolve().read_text("utf-8")
# Indented, from the one who speaks to the null byte, over as many lines as it takes.
EXAMPLES: Final = [
    (side, re.sub(r"\n +", "", frame).removeprefix("␞").encode())
    for side, frame in re.findall(r"^ +([CS]): (␞?\{[^…]*?)␀$", DOCUMENT, re.MULTILINE)
]


@pytest.mark.parametrize("kind", ["C", "S"])
def test_the_examples_are_on_the_wire_as_they_are_shown(kind: str) -> None:
    shown = [frame for side, frame in EXAMPLES if side == kind]
    assert len(shown) > 5
    for frame in shown:
        if kind == "C":
            said = requests.encode(requests.decode(frame))
        else:
            said = events.encode(events.decode(frame))
        assert json.loads(said) == json.loads(frame)


def test_every_request_and_event_is_listed() -> None:
    for union in (requests.AnyRequest, events.AnyEvent):
        for record in get_args(union):
            assert f"`{record.__struct_config__.tag}`" in DOCUMENT


def test_every_error_code_is_listed() -> None:
    assert listed("error").keys() == set(get_args(ErrorCode))


def test_every_way_to_end_is_listed_with_whether_to_come_back() -> None:
    reasons = [reason for reason in vars(errors).values() if isinstance(reason, Reason)]
    assert listed("bye") == {
        reason.code: str(reason.reconnect).lower()
        for reason in reasons
        if reason is not errors.LOST  # nobody is left to hear it
    }


def test_the_close_code_of_every_bye_is_listed() -> None:
    rows = re.findall(r"^\| ([^|]*) \| (?:true|false) \| ([^|]*) \|", DOCUMENT, re.MULTILINE)
    shown = {
        word: {int(number) for number in re.findall(r"\d+", codes)}
        for cell, codes in rows
        for word in re.findall(r"\w+", cell)
        if codes
    }
    assert shown.keys() == CLOSE_CODES.keys()
    for code, number in CLOSE_CODES.items():
        assert number in shown[code]
    assert UNACCEPTED in shown["protocol"]


def listed(table: str) -> dict[str, str]:
    """Give the codes in the first column of the table with this head, with the second column."""
    codes = DOCUMENT.partition("\n## Codes\n")[2]
    body = codes.partition(f"| `{table}` |")[2].partition("\n\n")[0]
    return {
        code: column
        for first, column in re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", body, re.MULTILINE)
        for code in re.findall(r"\w+", first)
    }

"""Checks nicks over all clients: each has one owner at a time, and nobody is listed who is gone."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.proof.checker import Run, Verdict

_LATE_NS = 3_000_000_000
"""What a client received may have been sent so much earlier: it may have been paused."""
_RECEIVED = ("saw", "heard", "joined")


@dataclass
class _Owned:
    """A nick that a client has on a connection."""

    client: str
    nick: str
    since: int
    last: int
    """When it was seen to have it last: when something was received."""


def check(run: "Run", by_client: Mapping[str, list[list[Any]]], verdict: "Verdict") -> None:
    """Check a run."""
    _check_owners(run, by_client, verdict)
    present = {line[4] for line in run.lines if line[1] == "is"}
    for line in run.lines:
        if line[1] == "who":
            verdict.counts["members listed"] += len(line[4])
            for nick in set(line[4]) - present:
                verdict.add("lingering", f"{line[2]}: {nick} is listed in {line[3]}, and is gone")


def _check_owners(run: "Run", by_client: Mapping[str, list[list[Any]]], verdict: "Verdict") -> None:
    owned: dict[str, list[_Owned]] = defaultdict(list)
    for client, lines in by_client.items():
        if client in run.accounts:  # its devices have the nick together
            continue
        now: _Owned | None = None
        for line in lines:
            if line[1] == "named":
                # Who asks for the nick that it has is answered even by a node that was stopped, and
                # does not know yet that others took it for dead. Such a node hears nothing.
                if now is None or now.nick != line[4]:
                    now = _Owned(client, line[4], line[0], line[0])
                    owned[line[4]].append(now)
            elif line[1] in ("opens", "away", "over"):
                now = None
            elif now is not None and line[1] in _RECEIVED:
                now.last = line[0]
    for nick, owners in owned.items():
        verdict.counts["nicks owned"] += len(owners)
        owners.sort(key=lambda each: each.since)
        former = owners[0]
        for each in owners[1:]:
            if each.client != former.client and former.last > each.since + _LATE_NS:
                verdict.add("shared", f"{nick} is {each.client} while it is {former.client}")
            if each.last > former.last:
                former = each

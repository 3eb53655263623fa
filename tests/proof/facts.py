"""Checks what is known of people: accounts, sessions, memberships, marks; and who heard what.

A fact has a name and a value: `account p0`, `login <hash>`, `hook one`, `member p0 one` are true or
false, `read p0 one` is a position. A client logs `wants` before it asks for a value, and `has` when
that was acknowledged.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.proof.checker import Run, Verdict

_LATE_NS: Final = 5_000_000_000
"""A request without an answer may still be carried out for so long."""
_MOST: Final = 999
"""Unread posts and mentions are counted so far."""


def is_private(room: str) -> bool:
    """Return whether only some accounts may be in a room; newcomers of `since-…` see no past."""
    return room.startswith(("@", "plan-", "since-"))


def check(run: "Run", by_client: Mapping[str, list[list[Any]]], verdict: "Verdict") -> None:
    """Check a run."""
    if run.lost:
        return
    history: dict[str, list[list[Any]]] = defaultdict(list)
    for line in sorted(run.lines, key=lambda line: line[0]):
        if line[1] in ("wants", "has"):
            history[line[3]].append(line)
    _check_kept(run, history, verdict)
    _check_sessions(run, history, verdict)
    _check_hidden(run, by_client, history, verdict)
    told = _marks(run)
    for client, lines in by_client.items():
        nick = run.accounts.get(client)
        _check_heard(client, nick, lines, history, verdict)
        if nick is not None:
            _check_marks(client, nick, lines, told, history, verdict)
            if not run.oldest:  # else some that were counted are not stored any more
                _check_counts(run, client, nick, lines, verdict)


def _check_kept(run: "Run", history: Mapping[str, list[list[Any]]], verdict: "Verdict") -> None:
    """What was acknowledged is stored, unless something else was asked for since."""
    for fact, lines in history.items():
        kind, stored = fact.partition(" ")[0], run.facts.get(fact, 0)
        if not any(line[1] == "has" for line in lines):
            continue
        verdict.counts[f"{kind} facts"] += 1
        if kind == "read":
            left = _left(history, fact.removeprefix("read "))
            kept = [line[4] for line in lines if line[1] == "has" and line[0] > left[-1]]
            newest = max(kept, default=0)
            if stored < newest:
                verdict.add("receded", f"{fact} was acknowledged at {newest}, stored is {stored}")
        elif stored not in (values := _possible(lines, 1 << 63)):
            verdict.add("forgotten", f"{fact} is stored as {bool(stored)}, not {values}")


def _left(history: Mapping[str, list[list[Any]]], where: str) -> list[int]:
    """Return until when an account may have left a room, which ends its mark: times in order."""
    wanted = history.get(f"member {where}", [])
    return [0, *(line[0] + _LATE_NS for line in wanted if line[1] == "wants" and not line[4])]


def _possible(lines: list[list[Any]], now: int) -> set[int]:
    """Return the values that a fact may have: the last acknowledged, and those asked for since."""
    values, acknowledged = {0}, 0
    for at, kind, _, _, value in lines:
        if kind == "has" and at <= now:
            values, acknowledged = {value}, at
    return values | {
        value
        for at, kind, _, _, value in lines
        if kind == "wants" and acknowledged - _LATE_NS < at <= now
    }


def _check_sessions(run: "Run", history: Mapping[str, list[list[Any]]], verdict: "Verdict") -> None:
    """Nobody gets in by a revoked session, everybody by another."""
    for line in run.lines:
        if line[1] in ("let in", "shut out"):
            verdict.counts[line[1]] += 1
            came = line[1] == "let in"
            if int(came) not in _possible(history[line[3]], line[0]):
                verdict.add("forgotten", f"{line[2]} was {line[1]} by {line[3]}")
        if line[1] == "over" and line[3] == "account":
            verdict.add("forgotten", f"{line[2]} could not sign in by its session")


def _check_heard(
    client: str,
    nick: str | None,
    lines: list[list[Any]],
    history: Mapping[str, list[list[Any]]],
    verdict: "Verdict",
) -> None:
    """A client hears nothing of a room that it is not in, or that it may not see of a room."""
    oldest: dict[str, int] = {}
    opened = 0
    for line in lines:
        match line[1]:
            case "opens":
                opened = line[0]
                oldest.clear()
            case "left":
                oldest.pop(line[3], None)
            case "joined":
                room = line[3]
                oldest[room] = line[6]
                member = history.get(f"member {nick} {room}", [])
                out = _possible(member, opened) | _wanted(member, opened, line[0]) == {0}
                if room[0] == "@" and nick not in room[1:].split("+"):
                    verdict.add("leaked", f"{client} is {nick}, and joined {room}")
                elif room[0] != "@" and is_private(room) and out:
                    verdict.add("leaked", f"{client} is not in {room}, and joined it")
            case "closed" if line[4]:
                verdict.add("unheard", f"{client}: {line[3]} is closed, with {line[4]} unread")
            case "saw" | "heard":
                room, position = line[3], line[5]
                if position < oldest.get(room, position + 1):
                    verdict.add(
                        "leaked", f"{client} {line[1]} {room} {position}: {oldest.get(room)}"
                    )


def _check_hidden(
    run: "Run",
    by_client: Mapping[str, list[list[Any]]],
    history: Mapping[str, list[list[Any]]],
    verdict: "Verdict",
) -> None:
    """Who comes back into a room `since-…` sees nothing of what was acknowledged before."""
    for fact, wanted in history.items():
        _, nick, room = fact.split(" ") if fact.startswith("member ") else ("", "", "")
        if not room.startswith("since-"):
            continue
        stored = [(line[0], line[5]) for line in run.lines if line[1] == "ok" and line[3] == room]
        returns: list[tuple[int, int]] = []
        is_out = False
        for at, kind, _, _, value in wanted:
            if is_out and kind == "wants" and value:
                newest = max((position for said, position in stored if said < at), default=0)
                returns.append((at, newest))
            is_out = not value and (is_out or kind == "has")
        verdict.counts["returns"] += len(returns)
        for client in [client for client, each in run.accounts.items() if each == nick]:
            hidden = 0
            for line in [line for line in by_client[client] if line[3:4] == [room]]:
                if line[1] == "joined" and line[7] is None:
                    hidden = max((newest for at, newest in returns if at < line[0]), default=0)
                elif line[1] in ("saw", "heard") and line[5] <= hidden:
                    verdict.add("leaked", f"{client} {line[1]} {room} {line[5]}, of before")


def _wanted(lines: list[list[Any]], after: int, until: int) -> set[int]:
    return {line[4] for line in lines if line[1] == "wants" and after < line[0] <= until}


def _marks(run: "Run") -> dict[str, list[tuple[int, int]]]:
    """Return, by account and room, each mark that was told and is higher than those before."""
    told: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for line in sorted(run.lines, key=lambda line: line[0]):
        if line[1] == "mark":
            marks = told[f"{run.accounts.get(line[2])} {line[3]}"]
            if not marks or marks[-1][1] < line[4]:
                marks.append((line[0], line[4]))
    return told


def _check_marks(
    client: str,
    nick: str,
    lines: list[list[Any]],
    told: Mapping[str, list[tuple[int, int]]],
    history: Mapping[str, list[list[Any]]],
    verdict: "Verdict",
) -> None:
    """A mark is never before one that was told before the connection began."""
    opened = 0
    for line in lines:
        if line[1] == "opens":
            opened = line[0]
        position = line[9] if line[1] == "joined" else line[4] if line[1] == "mark" else None
        if position is None:
            continue
        earlier = told.get(f"{nick} {line[3]}", [])
        left = [at for at in _left(history, f"{nick} {line[3]}") if at < line[0] + _LATE_NS]
        begun = bisect_left(earlier, (opened, 0))
        at, newest = earlier[begun - 1] if begun else (0, 0)
        if left[-1] < at and position < newest:
            verdict.add("receded", f"{client}: {line[3]} is read to {position}, was to {newest}")


def _check_counts(
    run: "Run", client: str, nick: str, lines: list[list[Any]], verdict: "Verdict"
) -> None:
    """In the end unread posts and mentions are counted as they are stored."""
    for line in lines:
        if line[1] != "counts":
            continue
        _, _, _, room, position, unread, mentions = line
        verdict.counts["counts"] += 1
        others = [
            post
            for post in run.stored
            if post.room == room and post.position > position and post.account != nick
        ]
        if unread != min(len(others), _MOST):
            verdict.add("miscounted", f"{client}: {unread} unread in {room}, not {len(others)}")
        # One that was changed may have been counted with either text.
        named = [post for post in others if f" to {nick} " in run.said.get(post.key or "", "")]
        least = min(sum(not post.change for post in named), _MOST)
        if not least <= mentions <= len(named):
            verdict.add(
                "miscounted", f"{client}: {mentions} mentions in {room}, not {least}-{len(named)}"
            )

"""Checks the logs of the clients, and the posts in the database, for violations.

Works offline, on the files alone. Each check has a name, which docs/proof.md explains; a violation
is a line that starts with that name.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CHECKS = (
    "lost", "doubled", "invented", "changed", "misplaced", "hole", "ghost",
    "misnumbered", "unnoticed", "lied", "overcautious", "unheard", "late",
)  # fmt: skip
_SHOWN = 5


class Kept(NamedTuple):
    """A post in the database at the end."""

    room: str
    position: int
    key: str | None
    text: str


@dataclass
class Run:
    """The input of the checks."""

    lines: list[list[Any]]
    """The log of all clients, in the order of each: time, kind, client, details."""
    epoch: str
    kept: list[Kept]
    rolled_back: bool = False
    """Whether an older copy was restored, so that acknowledged messages may be lost."""


@dataclass
class Verdict:
    """Violations, and the amount of data checked."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, check: str, text: str) -> None:
        """Note a violation."""
        self.found[check].append(text)

    def lines(self) -> list[str]:
        """Return the first few of each check."""
        told = []
        for check, texts in self.found.items():
            told += [f"{check}: {text}" for text in texts[:_SHOWN]]
            if len(texts) > _SHOWN:
                told.append(f"{check}: and {len(texts) - _SHOWN:,} more")
        return told


def check(run: Run) -> Verdict:
    """Check a run."""
    verdict = Verdict()
    verdict.counts.update(line[1] for line in run.lines)
    verdict.counts["kept"] = len(run.kept)
    said = {line[4]: line for line in run.lines if line[1] == "says"}
    _what_is_kept(run, said, verdict)
    _what_was_acknowledged(run, said, verdict)
    _what_was_seen(run, said, verdict)
    _real_time(run, said, verdict)
    by_client: dict[str, list[list[Any]]] = defaultdict(list)
    for line in run.lines:
        by_client[line[2]].append(line)
    tops: dict[str, int] = {}
    for post in run.kept:
        tops[post.room] = max(tops.get(post.room, 0), post.position)
    for client, lines in by_client.items():
        _one_client(client, lines, tops, verdict)
    return verdict


def _what_is_kept(run: Run, said: dict[str, list[Any]], verdict: Verdict) -> None:
    keys: dict[str, Kept] = {}
    last: dict[str, int] = {}
    for post in run.kept:
        if post.position != last.get(post.room, 0) + 1:
            verdict.add(
                "hole", f"{post.room}: {post.position} is kept after {last.get(post.room, 0)}"
            )
        last[post.room] = post.position
        if post.key is None or post.key not in said:
            verdict.add("invented", f"{post.room} {post.position}: nobody said {post.text[:40]!r}")
            continue
        if post.key in keys:
            verdict.add(
                "doubled", f"{post.key} is kept at {keys[post.key].position} and {post.position}"
            )
        keys[post.key] = post
        _, _, _, room, _, text = said[post.key]
        if room != post.room:
            verdict.add("misplaced", f"{post.key} was said in {room} and is kept in {post.room}")
        if text != post.text:
            verdict.add("changed", f"{post.key} is kept as {post.text[:40]!r}")


def _what_was_acknowledged(run: Run, said: dict[str, list[Any]], verdict: Verdict) -> None:
    positions = {post.key: post.position for post in run.kept}
    for line in run.lines:
        if line[1] in ("ok", "again"):
            _, _, _, _, key, position = line
            if key not in positions:
                if not run.rolled_back:
                    verdict.add("lost", f"{key} was acknowledged at {position} and is not kept")
            elif positions[key] != position:
                verdict.add(
                    "misnumbered", f"{key} was acknowledged at {position}, kept at {positions[key]}"
                )


def _what_was_seen(run: Run, said: dict[str, list[Any]], verdict: Verdict) -> None:
    kept = {(post.room, post.position): post for post in run.kept}
    first: dict[tuple[str, str, int], list[Any]] = {}
    for line in run.lines:
        if line[1] != "saw":
            continue
        _, _, client, room, epoch, position, _, text = line
        place = epoch, room, position
        other = first.setdefault(place, line)
        if other[7] != text:
            verdict.add(
                "changed", f"{place} is {text[:40]!r} to {client}, {other[7][:40]!r} to {other[2]}"
            )
        author = text.partition(":")[0]
        if author not in said:
            verdict.add("invented", f"{client} saw {text[:40]!r}, which nobody said")
        elif said[author][5] != text:
            verdict.add("changed", f"{client} saw {text[:40]!r} for {author}")
        elif said[author][3] != room:
            verdict.add("misplaced", f"{author} was said in {said[author][3]} and seen in {room}")
        if epoch == run.epoch and not run.rolled_back:
            post = kept.get((room, position))
            if post is None:
                verdict.add("ghost", f"{client} saw {place}, which is not kept")
            elif post.text != text:
                verdict.add(
                    "changed", f"{client} saw {text[:40]!r} at {place}, kept is {post.text[:40]!r}"
                )


def _real_time(run: Run, said: dict[str, list[Any]], verdict: Verdict) -> None:
    """A message acknowledged before another was sent must have a lower position."""
    if run.rolled_back:
        return
    events: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    positions = {post.key: post for post in run.kept}
    for line in run.lines:
        at, kind = line[0], line[1]
        if kind in ("says", "ok") and (post := positions.get(line[4])):
            events[post.room].append((at, 0 if kind == "says" else 1, post.position, line[4]))
    for room, happened in events.items():
        newest = 0
        for _, acknowledged, position, key in sorted(happened):
            if acknowledged:
                newest = max(newest, position)
            elif position < newest:
                verdict.add(
                    "late",
                    f"{room}: {key} was said after {newest} was acknowledged, and is {position}",
                )


def _one_client(
    client: str, lines: Iterable[list[Any]], tops: dict[str, int], verdict: Verdict
) -> None:
    """Check what one client received, in its order."""
    at: dict[str, tuple[str, int] | None] = {}
    gaps: set[str] = set()
    claims: dict[str, tuple[int, bool]] = {}
    for line in lines:
        match line[1]:
            case "gap":
                verdict.counts["gaps told"] += 1
            case "joined":
                _, _, _, room, epoch, position, oldest, recovered, asked = line
                if asked is not None:
                    could = asked[0] == epoch and oldest - 1 <= asked[1] <= position
                    if recovered is True and not could:
                        verdict.add(
                            "lied",
                            f"{client}: {room} recovered {asked}; is {epoch} {oldest}-{position}",
                        )
                    if recovered is not True and could:
                        verdict.add(
                            "overcautious", f"{client}: {room} says {recovered} for {asked}"
                        )
                if recovered is True and asked is not None:
                    at[room] = (epoch, asked[1])
                    claims[room] = (asked[1], True)
                elif asked is None or recovered is False:
                    at[room] = None
                    gaps.add(room)
            case "saw":
                _, _, _, room, epoch, position, _, _ = line
                before = at.get(room)
                if before is not None and before[0] == epoch:
                    if position <= before[1]:
                        verdict.add(
                            "doubled",
                            f"{client}: {room} {position} came after {before[1]}",
                        )
                        continue
                    if position != before[1] + 1:
                        claim = claims.get(room)
                        name = "lied" if claim and claim[0] == before[1] else "unnoticed"
                        verdict.add(name, f"{client}: {room} {position} came after {before[1]}")
                at[room] = (epoch, position)
                claims.pop(room, None)
            case "end":
                for room, top in tops.items():
                    if (line[3].get(room) or 0) < top:
                        verdict.add(
                            "unheard", f"{client}: {room} ended at {line[3].get(room)} of {top}"
                        )


def load(paths: Iterable[str]) -> list[list[Any]]:
    """Read the logs of the clients."""
    lines = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines += [json.loads(line) for line in file]
    return lines

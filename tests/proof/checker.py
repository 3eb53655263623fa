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


class StoredPost(NamedTuple):
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
    stored: list[StoredPost]
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
        lines = []
        for check, texts in self.found.items():
            lines += [f"{check}: {text}" for text in texts[:_SHOWN]]
            if len(texts) > _SHOWN:
                lines.append(f"{check}: and {len(texts) - _SHOWN:,} more")
        return lines


def check(run: Run) -> Verdict:
    """Check a run."""
    verdict = Verdict()
    verdict.counts.update(line[1] for line in run.lines)
    verdict.counts["stored"] = len(run.stored)
    sent = {line[4]: line for line in run.lines if line[1] == "says"}
    _check_stored(run, sent, verdict)
    _check_acknowledged(run, sent, verdict)
    _check_received(run, sent, verdict)
    _check_real_time(run, sent, verdict)
    by_client: dict[str, list[list[Any]]] = defaultdict(list)
    for line in run.lines:
        by_client[line[2]].append(line)
    tops: dict[str, int] = {}
    for post in run.stored:
        tops[post.room] = max(tops.get(post.room, 0), post.position)
    for client, lines in by_client.items():
        _check_client(client, lines, tops, verdict)
    return verdict


def _check_stored(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    keys: dict[str, StoredPost] = {}
    last: dict[str, int] = {}
    for post in run.stored:
        if post.position != last.get(post.room, 0) + 1:
            verdict.add(
                "hole", f"{post.room}: {post.position} is stored after {last.get(post.room, 0)}"
            )
        last[post.room] = post.position
        if post.key is None or post.key not in sent:
            verdict.add("invented", f"{post.room} {post.position}: nobody sent {post.text[:40]!r}")
            continue
        if post.key in keys:
            verdict.add(
                "doubled", f"{post.key} is stored at {keys[post.key].position} and {post.position}"
            )
        keys[post.key] = post
        _, _, _, room, _, text = sent[post.key]
        if room != post.room:
            verdict.add("misplaced", f"{post.key} was sent to {room} and is stored in {post.room}")
        if text != post.text:
            verdict.add("changed", f"{post.key} is stored as {post.text[:40]!r}")


def _check_acknowledged(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    positions = {post.key: post.position for post in run.stored}
    for line in run.lines:
        if line[1] in ("ok", "again"):
            _, _, _, _, key, position = line
            if key not in positions:
                if not run.rolled_back:
                    verdict.add("lost", f"{key} was acknowledged at {position} and is not stored")
            elif positions[key] != position:
                verdict.add(
                    "misnumbered",
                    f"{key} was acknowledged at {position}, stored at {positions[key]}",
                )


def _check_received(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    stored = {(post.room, post.position): post for post in run.stored}
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
        if author not in sent:
            verdict.add("invented", f"{client} received {text[:40]!r}, which nobody sent")
        elif sent[author][5] != text:
            verdict.add("changed", f"{client} received {text[:40]!r} for {author}")
        elif sent[author][3] != room:
            verdict.add(
                "misplaced", f"{author} was sent to {sent[author][3]} and received in {room}"
            )
        if epoch == run.epoch and not run.rolled_back:
            post = stored.get((room, position))
            if post is None:
                verdict.add("ghost", f"{client} received {place}, which is not stored")
            elif post.text != text:
                verdict.add(
                    "changed",
                    f"{client} received {text[:40]!r} at {place}, stored is {post.text[:40]!r}",
                )


def _check_real_time(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    """A message acknowledged before another was sent must have a lower position."""
    if run.rolled_back:
        return
    events: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    positions = {post.key: post for post in run.stored}
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
                    f"{room}: {key} was sent after {newest} was acknowledged, and is {position}",
                )


def _check_client(
    client: str, lines: Iterable[list[Any]], tops: dict[str, int], verdict: Verdict
) -> None:
    """Check what one client received, in its order."""
    at: dict[str, tuple[str, int] | None] = {}
    gaps: set[str] = set()
    claims: dict[str, tuple[int, bool]] = {}
    for line in lines:
        match line[1]:
            case "gap":
                verdict.counts["gaps"] += 1
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

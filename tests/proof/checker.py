"""Checks the logs of the clients, and the posts in the database, for violations.

Works offline, on the files alone. Each check has a name, which docs/proof.md explains; a violation
is a line that starts with that name.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tests.proof import changes, facts, nicks

CHECKS = (
    "lost", "doubled", "invented", "changed", "misplaced", "hole", "ghost",
    "misnumbered", "unnoticed", "lied", "overcautious", "unheard", "late", "stale", "resurrected",
    "remains", "forgotten", "receded", "leaked", "miscounted", "denied", "deaf", "usurped",
    "leftover", "shared", "lingering", "unbanned",
)  # fmt: skip
PLAIN = "q"
"""Begins the names of plain clients."""
_SHOWN = 5


class StoredPost(NamedTuple):
    """A post in the database at the end."""

    room: str
    position: int
    key: str | None
    text: str
    change: int = 0
    redacted: int = 0
    account: str | None = None
    """The nick of its author, if that is an account."""


@dataclass
class Run:
    """The input of the checks."""

    lines: list[list[Any]]
    """The log of all clients, in the order of each: time, kind, client, details."""
    epoch: str
    stored: list[StoredPost]
    lost: bool = False
    """Whether some of the history was, so that acknowledged messages may be missing."""
    over: set[str] = field(default_factory=set)
    """The epochs that have ended, as history was lost."""
    oldest: dict[str, int] = field(default_factory=dict)
    """By room the first position that was not trimmed, if it is not 1."""
    leftover: list[str] = field(default_factory=list)
    """What is stored of posts that are not."""
    remains: list[str] = field(default_factory=list)
    """The keys of redacted messages of which a text is still in a file, and that file."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long it took, by file, until no such text was left."""
    recovered: list[float] = field(default_factory=list)
    """How long it took after each of some faults until something was stored and delivered."""
    facts: dict[str, int] = field(default_factory=dict)
    """What is stored of people, as `facts` explains."""
    names: dict[str, str] = field(default_factory=dict)
    """Conversations, and what they are called here: `@p0+p2`, by whom they are between."""

    def load(self, paths: Iterable[str]) -> None:
        """Read the logs of the clients."""
        for path in paths:
            with open(path, encoding="utf-8") as file:
                self.take(map(json.loads, file))

    def take(self, lines: Iterable[list[Any]]) -> None:
        """Add lines of a log."""
        self.lines += map(self._named, lines)

    def named(self, text: str) -> str:
        """Return a room, or a fact about one, by the names of conversations."""
        return " ".join(self.names.get(word, word) for word in text.split(" "))

    def is_trimmed(self, room: str, position: int) -> bool:
        """Return whether a post may be missing because it was old."""
        return position < self.oldest.get(room, 1)

    def _named(self, line: list[Any]) -> list[Any]:
        match line[3:4]:
            case [str(room)]:
                line[3] = self.named(room)
            case [dict(rooms)]:
                line[3] = {self.named(room): position for room, position in rooms.items()}
        return line

    @cached_property
    def accounts(self) -> dict[str, str]:
        """The nicks of accounts by client."""
        return {line[2]: line[3] for line in self.lines if line[1] == "account"}

    @cached_property
    def said(self) -> dict[str, str]:
        """The texts that were sent, by key."""
        return {line[4]: line[5] for line in self.lines if line[1] == "says"}

    def rooms(self, client: str) -> set[str]:
        """Return the rooms with posts that a client is in at the end."""
        rooms, nick = {post.room for post in self.stored}, self.accounts.get(client)
        if nick is None:
            return {room for room in rooms if not facts.is_private(room)}
        return {
            room
            for room in rooms
            if self.facts.get(f"member {nick} {room}") or nick in room[1:].split("+")
        }


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
        rooms = run.rooms(client)
        _check_client(client, lines, {each: tops[each] for each in rooms}, verdict)
    _check_denied(run, verdict)
    _check_epochs(run, verdict)
    changes.check(run, by_client, verdict)
    facts.check(run, by_client, verdict)
    nicks.check(run, by_client, verdict)
    return verdict


def _check_stored(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    keys: dict[str, StoredPost] = {}
    last = {room: oldest - 1 for room, oldest in run.oldest.items()}
    for what in run.leftover:
        verdict.add("leftover", what)
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
        if post.change:  # `changes` checks it
            text = post.text
        if room != post.room:
            verdict.add("misplaced", f"{post.key} was sent to {room} and is stored in {post.room}")
        if text != post.text:
            verdict.add("changed", f"{post.key} is stored as {post.text[:40]!r}")


def _check_acknowledged(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    if run.lost:  # what was lost may be missing, or stored once more elsewhere
        return
    positions = {post.key: post.position for post in run.stored}
    for line in run.lines:
        if line[1] in ("ok", "again") and not run.is_trimmed(line[3], line[5]):
            _, _, _, _, key, position = line
            if key not in positions:
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
        _, _, client, room, epoch, position, _, text, change, redacted = line
        place = epoch, room, position
        if change:  # `changes` checks it
            if redacted and text:
                verdict.add("resurrected", f"{client} received {place} redacted, with a text")
            continue
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
        if epoch == run.epoch and not run.lost and not run.is_trimmed(room, position):
            post = stored.get((room, position))
            if post is None:
                verdict.add("ghost", f"{client} received {place}, which is not stored")
            elif not post.change and post.text != text:
                verdict.add(
                    "changed",
                    f"{client} received {text[:40]!r} at {place}, stored is {post.text[:40]!r}",
                )


def _check_real_time(run: Run, sent: dict[str, list[Any]], verdict: Verdict) -> None:
    """A message acknowledged before another was sent must have a lower position.

    So must one that the same plain client has sent before another.
    """
    if run.lost:
        return
    last: dict[str, int] = {}
    for each in sorted(run.stored, key=lambda post: (post.room, post.position)):
        client, _, number = (each.key or "").partition("-")
        if client.startswith(PLAIN):
            if int(number) < last.get(client, 0):
                verdict.add("late", f"{each.key} is stored after {client}-{last[client]}")
            last[client] = int(number)
    events: dict[str, list[tuple[int, int, int, str]]] = defaultdict(list)
    positions = {post.key: post for post in run.stored}
    for line in run.lines:
        at, kind = line[0], line[1]
        if kind in ("says", "ok") and (post := positions.get(line[4])):
            if kind == "ok" and line[5] != post.position:  # that one was trimmed
                continue
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


def _check_denied(run: Run, verdict: Verdict) -> None:
    """What was answered with `storage` to a client that had sent it once is not stored."""
    texts = {post.text for post in run.stored}
    texts |= {line[7] for line in run.lines if line[1] in ("saw", "heard") and line[7]}
    asked: dict[tuple[str, str], str] = {}
    for line in run.lines:
        match line[1]:
            case "opens":  # what is not acknowledged is sent once more
                asked = {at: text for at, text in asked.items() if at[0] != line[2]}
            case "says":
                asked[line[2], line[4]] = line[5]
            case "edits":
                asked[line[2], line[4]] = line[6]
            case "redacts":  # the text that was said before is stored
                asked.pop((line[2], line[4]), None)
            case "unknown" | "unsure" if line[-1] == "storage":
                verdict.counts["denied"] += 1
                if (text := asked.get((line[2], line[4]))) in texts:
                    verdict.add("denied", f"{line[2]} was denied {text[:40]!r}, which is stored")


def _check_epochs(run: Run, verdict: Verdict) -> None:
    """The epoch is another if history was lost, and only then; and what the nemesis noted."""
    for line in run.lines:
        if line[1] in ("deaf", "usurped", "unbanned"):
            verdict.add(line[1], line[3])
    epochs = {line[4] for line in run.lines if line[1] == "joined"}
    if run.epoch in run.over:
        verdict.add("lied", f"the epoch is still {run.epoch}, although history was lost")
    if len(epochs) > 1 and not run.lost:
        verdict.add("overcautious", f"{len(epochs)} epochs, although no history was lost")


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
                _, _, _, room, epoch, position, oldest, recovered, asked = line[:9]
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
            case "left":
                at.pop(line[3], None)
                claims.pop(line[3], None)
            case "saw":
                room, epoch, position = line[3:6]
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

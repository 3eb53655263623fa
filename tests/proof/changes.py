"""Checks edits and redactions: none lost, doubled or resurrected, and in the end none unheard."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tests.proof.checker import Run, StoredPost, Verdict

Place: TypeAlias = tuple[str, str, int]
"""Epoch, room and position."""


def check(run: "Run", by_client: Mapping[str, list[list[Any]]], verdict: "Verdict") -> None:
    """Check a run. After a loss nothing is known of changes, but that two are not the same."""
    verdict.counts["redacted texts"] = sum(post.redacted for post in run.stored)
    for key in run.remains:
        verdict.add("remains", f"a text of {key} is in the files, although it was redacted")
    _check_texts(run, verdict)
    if run.lost:
        return
    stored = {(run.epoch, post.room, post.position): post for post in run.stored}
    _check_stored(run, verdict)
    _check_acknowledged(run, stored, verdict)
    _check_states(run, stored, verdict)
    for client, lines in by_client.items():
        _check_client(client, lines, stored, verdict)


def _check_stored(run: "Run", verdict: "Verdict") -> None:
    """What is stored was asked for by its author, and each number is used once."""
    asked = {line[6]: line[4] for line in run.lines if line[1] == "edits"}
    redacted = {line[4] for line in run.lines if line[1] == "redacts"}
    numbers: set[tuple[str, int]] = set()
    for post in run.stored:
        if not post.change:
            continue
        if (post.room, post.change) in numbers:
            verdict.add("doubled", f"{post.room}: two posts have the change {post.change}")
        numbers.add((post.room, post.change))
        if post.redacted:
            if post.text:
                verdict.add("resurrected", f"{post.key} is redacted and has a text")
            if post.key not in redacted:
                verdict.add("invented", f"nobody redacted {post.key}")
        elif asked.get(post.text) != post.key:
            verdict.add("invented", f"nobody changed {post.key} to {post.text[:40]!r}")


def _check_acknowledged(
    run: "Run", stored: Mapping[Place, "StoredPost"], verdict: "Verdict"
) -> None:
    for line in run.lines:
        if line[1] not in ("edited", "redacted"):
            continue
        _, kind, _, room, key, position, change = line[:7]
        post = stored.get((run.epoch, room, position))
        if run.is_trimmed(room, position):
            continue
        if post is None or post.change < change:
            verdict.add("lost", f"the change {change} of {key} was acknowledged and is not stored")
        elif kind == "redacted" and not post.redacted:
            verdict.add("resurrected", f"{key} was redacted, and is stored as {post.text[:40]!r}")
        elif kind == "edited" and post.change == change and post.text != line[7]:
            verdict.add("changed", f"{key} was edited, and is stored as {post.text[:40]!r}")


def _check_texts(run: "Run", verdict: "Verdict") -> None:
    """A post has one text for each number, to everybody."""
    texts: dict[tuple[Place, int], str | None] = {}
    for line in run.lines:
        state = _state(line)
        if state is not None and state[1]:
            place, change, text = state
            if texts.setdefault((place, change), text) != text:
                verdict.add("changed", f"the change {change} of {place} has two texts")


def _check_states(run: "Run", stored: Mapping[Place, "StoredPost"], verdict: "Verdict") -> None:
    """A post is never received in a later state than is stored."""
    for line in run.lines:
        state = _state(line)
        if state is None or not state[1]:
            continue
        place, change, text = state
        if run.is_trimmed(place[1], place[2]):
            continue
        post = stored.get(place)
        if post is None or change > post.change:
            verdict.add("ghost", f"{line[2]} heard the change {change} of {place}: not stored")
        elif change == post.change and text != (None if post.redacted else post.text):
            verdict.add("changed", f"{line[2]} heard another text of {place} than is stored")


def _check_client(
    client: str, lines: list[list[Any]], stored: Mapping[Place, "StoredPost"], verdict: "Verdict"
) -> None:
    """In the end a client has every post that it shows as it is stored."""
    known: dict[Place, int] = {}
    ended = False
    for line in lines:
        ended = ended or line[1] == "end"
        forgets = line[1] == "left" or (line[1] == "joined" and line[7] is not True)
        if forgets:  # what it shows of the room
            known = {place: change for place, change in known.items() if place[1] != line[3]}
        state = _state(line)
        if state is None or (line[1] == "heard" and state[0] not in known):
            continue
        known[state[0]] = max(known.get(state[0], 0), state[1])
    for place, change in known.items() if ended else ():
        post = stored.get(place)
        if post is not None and change < post.change:
            verdict.add("stale", f"{client} shows {place} as of {change}, stored is {post.change}")


def _state(line: list[Any]) -> tuple[Place, int, str | None] | None:
    """Return what a line tells of a post: where it is, the number of its change, and its text."""
    if line[1] == "saw":
        _, _, _, room, epoch, position, _, text, change, redacted = line
        return (epoch, room, position), change, None if redacted else text
    if line[1] == "heard":
        _, _, _, room, epoch, position, change, text = line
        return (epoch, room, position), change, text
    return None

"""What is stored at the end: posts, facts about people, remains of texts."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from tests.proof.checker import Run, StoredPost

Records = Mapping[str, Mapping[str, Any]]
"""What is kept beside the history, decoded: by kind, and by id."""
_WORD: Final = re.compile(rb"x(c\d+)x(\d+)x")
"""The key in a word of a text, as `talk.text_of` makes it."""


class Place(NamedTuple):
    """A place where texts of redacted messages must not remain."""

    name: str
    seconds: float
    """How soon they have to be gone."""
    read: Callable[[], bytes]


def run_of(epoch: str, posts: Iterable[StoredPost], records: Records) -> Run:
    """Return what is stored, still without what the clients logged.

    The rooms of the posts are as they are stored, and the accounts are ids.
    """
    nicks = {each: account["nick"] for each, account in records.get("account", {}).items()}
    run = Run([], epoch, [])
    for room, private in records.get("private", {}).items():
        if private.get("between"):
            run.names[room] = (
                f"@{'+'.join(sorted(nicks.get(each, each) for each in private['between']))}"
            )
    run.stored = [
        post._replace(
            room=run.names.get(post.room, post.room),
            # Plain clients have no keys, but each of their texts begins with one.
            key=post.key or post.text.partition(":")[0],
            account=nicks.get(post.account or ""),
        )
        for post in posts
    ]
    run.facts = {run.named(fact): value for fact, value in _facts(records, nicks).items()}
    return run


def _facts(records: Records, nicks: Mapping[str, str]) -> dict[str, int]:
    facts = {f"account {nick}": 1 for nick in nicks.values()}
    facts |= {f"login {digest}": 1 for digest in records.get("login", {})}
    facts |= {f"hook {hook['room']}": 1 for hook in records.get("hook", {}).values()}
    for identity, membership in records.get("membership", {}).items():
        account, _, room = identity.partition("/")
        who = f"{nicks.get(account, account)} {room}"
        facts[f"member {who}"] = int(membership.get("joined", True))
        facts[f"read {who}"] = membership.get("read", 0)
    return facts


def look_for_remains(run: Run, places: Iterable[Place]) -> None:
    """Search for texts of redacted messages, until they are gone or it is too late."""
    redacted = {post.key or "" for post in run.stored if post.redacted}
    for place in places:
        began = time.monotonic()
        while left := _keys(place.read()) & redacted:
            if time.monotonic() > began + place.seconds:
                run.remains += [f"{key} in {place.name}" for key in sorted(left)]
                break
            time.sleep(0.2)
        run.seconds[place.name] = time.monotonic() - began


def _keys(data: bytes) -> set[str]:
    """Return the keys of all messages of which a text is in some bytes."""
    return {f"{found[1].decode()}-{found[2].decode()}" for found in _WORD.finditer(data)}

"""What programs post by webhooks: from the web door into the timeline.

Each request runs in the greenlet of its connection.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import gevent
import msgspec
from gevent.event import AsyncResult

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.access.credentials import ATTEMPT_SECONDS, FailedAttempts
from geventchat.server.access.policy import Policy
from geventchat.server.chat.hub import Hub
from geventchat.server.chat.submissions import IN_DOUBT
from geventchat.server.people.hooks import Hook
from geventchat.server.transport.base import Client
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.web.posts import Posting, Reply

AUTHOR: Final = "hook"
"""The author of a post that names none."""
_SETTLE_SECONDS: Final = 30.0
"""How long the timeline may take for a verdict."""
_TOKEN_BYTES: Final = 4 << 10
_JSON: Final = "application/json"
_UNKNOWN: Final = "There is no such hook, or it was revoked."
_STATUSES: Final = {
    "bad_nick": 400, "nick_in_use": 400, "nick_too_similar": 400, "forbidden": 403,
    "no_such_nick": 404, "key_conflict": 409, "storage": 503, "too_many_rooms": 503,
}  # fmt: skip


class HookPosts:
    """Posts what comes with the token of a webhook."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.policy: Policy  # set once, by the server
        self._attempts = FailedAttempts()
        self.counts: Counter[str] = Counter({"200": 0})
        """Requests by the status of their answer."""

    def post(self, posting: Posting, client: Client) -> Reply:
        """Post what a client has sent, and return the answer. Waits."""
        ends = _Shutdown()
        try:
            reply = self._post(posting, client, ends)
        except Refused as refused:
            reply = _said(_STATUSES[refused.code], refused.text)
        self.counts[str(reply.status)] += 1
        return reply._replace(last=ends.noticed)

    def _post(self, posting: Posting, client: Client, ends: "_Shutdown") -> Reply:
        hook = self._hub.people.hooks.find(posting.token)
        if hook is None:
            if (limited := self._count_wrong(client)) is not None:
                return limited
            self._hub.timeline.nodes.catch_up()  # it may have been made on another one just now
            hook = self._hub.people.hooks.find(posting.token)
        if hook is None:
            return _said(404, _UNKNOWN)
        if (wait := self._pause(hook, posting.text)) > 0:
            return _too_many(wait)
        position = ends.outlasted(lambda: self._submit(hook, posting, client))
        body = msgspec.json.encode({"room": hook.room, "position": position})
        return Reply(200, body + b"\n", _JSON)

    def _count_wrong(self, client: Client) -> Reply | None:
        """Count a wrong token; return the answer if there were too many.

        A right one works however many wrong ones came before.
        """
        now = time.monotonic()
        if client.anonymous or client.address not in self.policy.trust:
            if self._attempts.exceeded(client.address, now):
                return _too_many(ATTEMPT_SECONDS)
            self._attempts.count(client.address, now)
        return None

    def _pause(self, hook: Hook, text: str) -> float:
        """Return the seconds until a hook may post this; 0: it may now."""
        if hook.pace is None:
            hook.pace = TokenBucket(self._hub.limits, Counter())
        size = len(text) if text.isascii() else len(text.encode())
        return hook.pace.try_take(1 + size // _TOKEN_BYTES, time.monotonic())

    def _author(self, text: str | None) -> str:
        """Return the author of a post. Raises Refused."""
        if text is None or names.fold(text) == AUTHOR:
            return AUTHOR
        return self._hub.owners.check_nick(text)

    def _check(self, hook: Hook, author: str, client: Client) -> None:
        """Raise Refused if a rule forbids a post."""
        room, policy = hook.room, self.policy
        if hook.private != (room in self._hub.people.private):
            raise Refused("no_such_nick", _UNKNOWN)
        policy.check_hook(hook.client, author, client.address, room)

    def _submit(self, hook: Hook, posting: Posting, client: Client) -> int:
        """Submit a post and return its position when it is stored. Waits. Raises Refused."""
        hub = self._hub
        with hub.timeline.opened(hook.room):
            author = self._author(posting.author)
            if author != AUTHOR:
                hub.timeline.nodes.check(author)
                self._author(author)
            if hook.revoked:
                raise Refused("no_such_nick", _UNKNOWN)
            self._check(hook, author, client)  # not before: to open a room may wait
            verdict = hub.submissions.submit_hook(
                hub.timeline, hook.room, author, posting.text, hook.client, posting.key
            )
            return _outcome(verdict)


class _Shutdown:
    """Lets a request that has begun end as it would have, and notes that the server shuts down."""

    def __init__(self) -> None:
        self.noticed = False

    def outlasted(self, function: Callable[[], int]) -> int:
        """Return what a function returns, even if the server shuts down meanwhile. Waits."""
        running: AsyncResult[int | Refused] = AsyncResult()
        gevent.spawn(_run, function, running).name = "hook"
        outcome = None
        while outcome is None:
            try:
                outcome = running.get()
            except ConnectionAbortedError:
                self.noticed = True
        if isinstance(outcome, Refused):
            raise outcome
        return outcome


def _run(function: Callable[[], int], result: "AsyncResult[int | Refused]") -> None:
    outcome: int | Refused = Refused("storage", "Internal server error.")
    try:
        outcome = function()
    except Refused as refused:
        outcome = refused
    finally:
        result.set(outcome)


def _outcome(verdict: "AsyncResult[int | Refused]") -> int:
    """Wait for a verdict; return the position. Raises Refused."""
    outcome = None
    with suppress(gevent.Timeout):
        outcome = verdict.get(timeout=_SETTLE_SECONDS)
    if outcome is None:
        raise Refused(*IN_DOUBT)
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _said(status: int, text: str, *fields: tuple[str, str]) -> Reply:
    return Reply(status, f"{text}\n".encode(), fields=fields)


def _too_many(seconds: float) -> Reply:
    wait = str(max(math.ceil(seconds), 1))
    return _said(429, f"Too many requests. Try again in {wait} s.", ("Retry-After", wait))

"""Which logins of accounts are connected, on all nodes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from geventchat.server.chat.hub import Hub
from geventchat.server.people.account import Account

_CONNECTED: Final = "connected"


def connected(hub: Hub, accounts: Sequence[Account]) -> Counter[str]:
    """Return how many connections some accounts have, by their ids, and by those of their logins.

    Waits up to 2 s for other nodes; one that does not answer has none.
    """
    ids = [account.id for account in accounts]
    found = _here(hub, ids)
    if hub.timeline.nodes.others:
        for content in hub.questions.ask(_CONNECTED, msgspec.msgpack.encode(ids)).contents.values():
            found.update(msgspec.msgpack.decode(content, type=dict[str, int]))
    return found


def answer(hub: Hub) -> None:
    """Have this node answer the others that ask for it."""

    def content(about: bytes) -> bytes:
        return msgspec.msgpack.encode(_here(hub, msgspec.msgpack.decode(about, type=list[str])))

    hub.questions.answer(_CONNECTED, content)


def _here(hub: Hub, ids: Iterable[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in ids:
        account = hub.people.find(number)
        for each in hub.devices.connected(account) if account is not None else ():
            found[number] += 1
            if each.login is not None:
                found[each.login.id] += 1
    return found

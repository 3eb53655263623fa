"""People with accounts, in private rooms and conversations, each on any number of connections."""

from typing import Any

from tests.conversations import signed_in
from tests.conversations.chat import Chat
from tests.conversations.peers import Rich, of


def register(chat: Chat, nick: str, **options: Any) -> Rich:
    """Make an account in hello; return its first connection."""
    return signed_in.registered(chat, nick, **options)


def sign_in(chat: Chat, first: Rich, **options: Any) -> Rich:
    """Return another connection of the account of a client."""
    return signed_in.device(chat, first, **options)


def registered(chat: Chat, *nicks: str) -> list[Rich]:
    """Make accounts; return a connection of each."""
    peers = [register(chat, nick) for nick in nicks]
    for peer in peers:
        peer.pong()
    return peers


def private_room(chat: Chat, name: str, *peers: Rich, **options: Any) -> None:
    """Make a private room with these members, the first its moderator."""
    first, *others = peers
    assert first.ask("create", room=name, **options)["type"] == "joined"
    for peer in others:
        admit(name, first, peer)
    first.pong()


def admit(name: str, member: Rich, invited: Rich) -> dict[str, Any]:
    """Invite an account, which joins; return `joined`."""
    answer = member.ask("invite", room=name, nick=invited.nick)
    assert answer["type"] == "invited", answer
    joined = invited.ask("join", room=name)
    assert joined["type"] == "joined", joined
    return joined


def code(peer: Rich, kind: str, **fields: Any) -> str:
    """Return the code of the error that answers a request."""
    error = peer.ask(kind, **fields)
    assert error["type"] == "error", error
    found: str = error["code"]
    return found


def rooms(events: list[dict[str, Any]]) -> list[str]:
    """Return the rooms that were joined among events."""
    return [event["room"] for event in of("joined", events)]

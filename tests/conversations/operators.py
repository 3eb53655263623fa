"""What operators ask of a server, and what those whom it concerns are told."""

from typing import Any, Final

from tests.conversations.chat import Chat
from tests.conversations.nodes import beside
from tests.conversations.peers import Plain, Rich, of

TOKEN: Final = "the-token-of-a-test"
NOTICE: Final = b"* geventchat: "


def operator(chat: Chat, nick: str = "Olga", **options: Any) -> Rich:
    """Connect an operator, who sends the token in hello."""
    peer = chat.rich(nick, token=TOKEN, **options)
    assert of("error", peer.greeting) == []
    return peer


def elsewhere(chat: Chat, address: str = "127.0.0.9") -> Plain:
    """Connect a plain client from another address."""
    return chat.track(Plain(chat.address, source=address))


def admin(peer: Rich, action: str, target: str | None = None, **fields: Any) -> dict[str, Any]:
    """Request an action and return its answer, which must be a success."""
    answer = peer.ask("admin", action=action, **({"target": target} if target else {}), **fields)
    assert answer["type"] == "admin", answer
    assert answer["action"] == action
    return answer


def set_clock(chat: Chat, seconds: float) -> None:
    """Let it be some seconds after 1970 for the rules, on all nodes."""
    for each in beside(chat.server):
        each._policy.clock = lambda: seconds


def forbidden(peer: Rich, kind: str, **fields: Any) -> str:
    """Return the text of the `forbidden` error for a request."""
    error = peer.ask(kind, **fields)
    assert (error["type"], error["code"]) == ("error", "forbidden")
    text: str = error["text"]
    return text


def muted(peer: Rich, kind: str, **fields: Any) -> bool:
    """Return whether a request is refused because the client is muted."""
    error = peer.ask(kind, **fields)
    return (error["type"], error.get("code")) == ("error", "muted")


def banned(chat: Chat, **options: Any) -> dict[str, Any]:
    """Return the bye that answers a hello."""
    (bye,) = chat.refused(**options)
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "banned", False)
    return bye

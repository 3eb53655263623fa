"""What programs send to a webhook, and who makes one."""

import json
from typing import Any

from tests.conversations.operators import TOKEN
from tests.conversations.web import Response, WebChat, request


def posting(
    token: str, body: str | bytes, line: str = "POST /hook/{} HTTP/1.1", /, **fields: str | None
) -> bytes:
    """Encode a request to post."""
    data = body if isinstance(body, bytes) else body.encode()
    fields = {"Content_Length": str(len(data)), **fields}
    return request(line.format(token), **fields) + data


def as_json(token: str, **content: Any) -> bytes:
    """Encode a request to post JSON."""
    return posting(token, json.dumps(content), Content_Type="application/json")


def post(web: WebChat, token: str, body: str | bytes = "green", **fields: str | None) -> Response:
    """Post on a connection of its own."""
    return web.raw().ask(posting(token, body, **fields))


def place(response: Response) -> tuple[str, int]:
    """Return where a post was stored."""
    assert response.status == 200, response
    assert response.fields["content-type"] == "application/json"
    where = json.loads(response.body)
    return where["room"], where["position"]


def hook(web: WebChat, room: str = "lobby") -> str:
    """Make a webhook as an operator; return its token."""
    made = web.rich(rooms=[]).ask("hook", action="add", room=room, token=TOKEN)
    (shown,) = made["hooks"]
    assert shown["room"] == room
    token: str = shown["token"]
    return token

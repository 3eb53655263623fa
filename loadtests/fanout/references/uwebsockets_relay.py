"""uWebSockets, by socketify: its own publish and subscribe, which is written in C++.

python -m loadtests.fanout.references.uwebsockets_relay PORT
"""

import sys
from typing import Any

from socketify import App, AppListenOptions, OpCode


def serve(port: int) -> None:
    """Take clients until the process ends; each path is a room."""
    app = App()

    def upgrade(response: Any, request: Any, context: Any) -> None:
        key, protocol = (
            request.get_header(f"sec-websocket-{each}") for each in ("key", "protocol")
        )
        response.upgrade(key, protocol, "", context, request.get_url())

    def said(member: Any, message: Any, opcode: OpCode) -> None:
        app.publish(member.get_user_data(), message, opcode)

    app.ws(
        "/*",
        {
            "compression": 0,
            "idle_timeout": 0,
            "max_backpressure": 1 << 26,  # it drops what is beyond that
            "upgrade": upgrade,
            "open": lambda member: member.subscribe(member.get_user_data()),
            "message": said,
        },
    )
    app.listen(AppListenOptions(port=port, host="127.0.0.1"), lambda _: None)
    app.run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))

"""Checks before a run: one line instead of a thousand failures."""

import resource
import secrets
from typing import Final

import psutil

from geventchat.client import Connection, Ended, Error, NotGeventchat
from geventchat.protocol import requests
from geventchat.protocol.errors import LOST, PASSWORD
from geventchat.protocol.events import Pong
from geventchat.protocol.requests import Hello
from loadtests.support.address import Address
from loadtests.support.command import CannotRun
from loadtests.support.login import Login
from loadtests.support.server_stats import listener
from loadtests.support.websocket import WebLink

RESERVED_DESCRIPTORS: Final = 64
"""What a process needs in addition to its users' sockets."""
_HINT: Final = " Give it with --password-file or GEVENTCHAT_PASSWORD."


def raise_descriptor_limit() -> int:
    """Raise the descriptor limit of this process and its children to the maximum; return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def check_host(host: str, login: Login) -> None:
    """Raise CannotRun if no geventchat server answers there, or it does not take the login."""
    try:
        address = Address.parse(host)
        refused = _refused_by_web(address, login) if login.web else _refused(address, login)
    except ValueError as error:
        raise CannotRun(f"No server to load: {error}") from None
    except OSError as error:
        if error.errno is None:  # of TLS, which says it all
            raise CannotRun(f"Cannot connect to {address}: {error}.") from None
        raise CannotRun(
            f"No server answers at {address}: {error.strerror or error}. "
            "Is the server running, and is the port right?"
        ) from None
    except NotGeventchat as error:
        raise CannotRun(str(error)) from None
    except Ended as error:
        asks = error.bye.code == PASSWORD.code and login.password is None
        raise CannotRun(f"{address}: {error}{_HINT if asks else ''}") from None
    if refused:
        raise CannotRun(f"{address}: {refused[0]}")


def _refused(address: Address, login: Login) -> list[str]:
    """Say hello; return what was refused."""
    with Connection(
        *address, rooms=(), password=login.password, token=login.token, tls=login.tls or False
    ) as chat:
        chat.ping()  # what the hello was answered with has arrived by then
        return [event.text for event in chat.heard() if isinstance(event, Error)]


def _refused_by_web(address: Address, login: Login) -> list[str]:
    """Do the same over WebSocket."""
    link = WebLink(*address, login.tls)
    try:
        client = secrets.token_urlsafe(16)
        link.say_hello(
            Hello(version=1, client=client, password=login.password, token=login.token, rooms={})
        )
        link.send(requests.encode(requests.Ping(id="hello")))
        refused = []
        for event, _ in link:
            if isinstance(event, Error):
                refused.append(event.text)
            elif isinstance(event, Pong):
                link.send(requests.encode(requests.Bye()))
        return refused
    finally:
        link.close(LOST)


def check_users(host: str, users: int, processes: int = 1) -> None:
    """Raise CannotRun if users need more descriptors than this process or the server has."""
    mine = raise_descriptor_limit()
    needed = -(-users // processes) + RESERVED_DESCRIPTORS
    if needed > mine:
        raise CannotRun(
            f"{users:,} users in {processes} process(es) need {needed:,} descriptors each, and "
            f"{mine:,} are allowed: raise `ulimit -n`, or use more --processes."
        )
    server = listener(Address.parse(host))
    if server is not None:
        theirs, _ = server.rlimit(psutil.RLIMIT_NOFILE)
        if users + RESERVED_DESCRIPTORS > theirs:
            raise CannotRun(
                f"{users:,} users are more than the server may open: its limit is {theirs:,} "
                "descriptors. Start it under a higher `ulimit -n`."
            )

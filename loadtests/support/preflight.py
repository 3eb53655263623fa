"""Checks before a run: one line instead of a thousand failures."""

import resource
from typing import Final

import psutil

from geventchat.client import Connection, Ended, NotGeventchat
from loadtests.support.address import Address
from loadtests.support.server_stats import listener

RESERVED_DESCRIPTORS: Final = 64
"""What a process needs in addition to its users' sockets."""


class CannotRun(Exception):
    """Why a run cannot work: one line that says what to do."""


def raise_descriptor_limit() -> int:
    """Raise the descriptor limit of this process and its children to the maximum; return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def check_host(host: str) -> None:
    """Raise CannotRun if no geventchat server answers there."""
    try:
        address = Address.parse(host)
        Connection(*address, rooms=()).close()
    except ValueError as error:
        raise CannotRun(f"invalid --host: {error}") from None
    except OSError as error:
        raise CannotRun(
            f"No server answers at {address}: {error.strerror or error}. "
            "Is the server running, and is the port right?"
        ) from None
    except (NotGeventchat, Ended) as error:
        raise CannotRun(str(error)) from None


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

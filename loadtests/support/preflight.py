"""What would spoil a run is said in one line before it, not in a thousand failures."""

import resource
from typing import Final

import psutil

from geventchat.client import Connection, Ended, NotGeventchat
from loadtests.support.address import Address
from loadtests.support.server_stats import listener

RESERVED_DESCRIPTORS: Final = 64
"""What a process needs beside its users' sockets."""


class CannotRun(Exception):
    """Why a run would be in vain: one line that says what to do."""


def raise_descriptor_limit() -> int:
    """Let this process, and those it starts, open as many files as it may; give how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def check_host(host: str) -> None:
    """Raise CannotRun if no geventchat answers there."""
    try:
        address = Address.parse(host)
        Connection(*address, rooms=()).close()
    except ValueError as error:
        raise CannotRun(f"--host says where the server is: {error}") from None
    except OSError as error:
        raise CannotRun(
            f"Nothing answers at {address}: {error.strerror or error}. "
            "Is the server running, and is that its port?"
        ) from None
    except (NotGeventchat, Ended) as error:
        raise CannotRun(str(error)) from None


def check_users(host: str, users: int, processes: int = 1) -> None:
    """Raise CannotRun if so many users need more descriptors than there are, here or there."""
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

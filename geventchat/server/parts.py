"""The parts of a server that its config asks for, made or only looked at: reading files blocks."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote

from geventchat.config import BadOption, Config
from geventchat.server import credentials
from geventchat.server.authority import Authority
from geventchat.server.rules_file import RulesFile
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.sqlite import SqliteTimeline
from geventchat.server.timeline.sqlite.lock import unusable
from geventchat.server.timeline.sqlite.retention import Keep
from geventchat.server.timeline.sqlite.schema import looked_at
from geventchat.server.transport import listener, tls


def check(config: Config) -> None:
    """Raise BadOption if no server can run with this config; makes nothing.

    What only a start can tell is left to it: a port in use, a database that another server holds.
    """
    password(config)
    tls.load(config.tls_cert, config.tls_key)
    kind, _, path = config.timeline.partition(":")
    if kind == "sqlite" and not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
        raise BadOption("--timeline", config.timeline, "no file can be made there")
    if kind == "sqlite" and os.path.isdir(path):
        raise BadOption("--timeline", config.timeline, os.strerror(errno.EISDIR))
    if kind == "sqlite" and os.path.isfile(path):
        _check_database(path)
    listener.listen(config.host, 0).close()
    if (file := operator_file(config)) is not None:
        _rules_file(file).load()
        if os.path.exists(file):
            credentials.read_token("--operator-file", file)


def _check_database(path: str) -> None:
    # Without `immutable` even a look would make files beside it, or wait for who has it locked.
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?immutable=1", uri=True)) as db:
            looked_at(db)
    except (sqlite3.Error, UnicodeError) as error:
        raise unusable(path, str(error)) from None


def open_timeline(config: Config, deliver: Callable[[Batch], None]) -> Timeline:
    """Give the timeline that the config names. Raises BadOption."""
    kind, _, path = config.timeline.partition(":")
    if kind == "memory" and not path:
        limits = config.limits
        return MemoryTimeline(
            deliver,
            posts_per_room=limits.memory_posts_per_room,
            total_bytes=limits.memory_bytes,
        )
    if kind == "sqlite" and path:
        return SqliteTimeline(deliver, path, Keep.of(config.limits))
    raise BadOption("--timeline", config.timeline, "is neither memory: nor sqlite:PATH")


def operator_file(config: Config) -> str | None:
    """Give where the operators' token is; None: there are no operators."""
    kind, _, path = config.timeline.partition(":")
    return config.operator_file or (f"{path}.operator" if kind == "sqlite" else None)


def password(config: Config) -> str | None:
    """Give the password that the config or its file holds. Raises BadOption."""
    file = config.password_file
    if file is None:
        return config.password
    if config.password is not None:
        text = "there is a password besides; give one of the two"
        raise BadOption("--password-file", file, text)
    return credentials.read("--password-file", file)


def authority(config: Config) -> Authority:
    """Give what the config says of password and operators. Raises BadOption."""
    secret, token, rules = password(config), None, None
    if (file := operator_file(config)) is not None:
        rules = _rules_file(file)
        token = credentials.read_or_make_token("--operator-file", file)
    return Authority(
        password=secret, token=token, trust=config.trust, file=rules, limits=config.limits
    )


def _rules_file(operator_file: str) -> RulesFile:
    return RulesFile(f"{operator_file}.rules")

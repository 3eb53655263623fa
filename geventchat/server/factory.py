"""Creates the parts of a server from its config, or only checks it. Reads files, which blocks."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from ssl import SSLContext
from typing import NamedTuple
from urllib.parse import quote

from geventchat.config import BadSetting, Config, secrets
from geventchat.server.access import credentials
from geventchat.server.access.policy import Policy
from geventchat.server.access.rules_file import RulesFile
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.timeline.memory import MemoryTimeline
from geventchat.server.timeline.sqlite import SqliteTimeline
from geventchat.server.timeline.sqlite.lock import unusable
from geventchat.server.timeline.sqlite.schema import identify
from geventchat.server.transport import listener, tls


def check(config: Config) -> None:
    """Raise BadSetting if no server can run with this config; creates nothing.

    Only a start finds a port in use, or a database locked by another server.
    """
    password(config)
    tls.load(config.tls_cert, config.tls_key)
    kind, _, path = config.timeline.partition(":")
    if kind == "sqlite" and not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
        raise BadSetting("timeline", config.timeline, "no file can be made there")
    if kind == "sqlite" and os.path.isdir(path):
        raise BadSetting("timeline", config.timeline, os.strerror(errno.EISDIR))
    if kind == "sqlite" and os.path.isfile(path):
        _check_database(path)
    listener.listen(config.host, 0).close()
    if (file := operator_file(config)) is not None:
        _rules_file(file).load()
        if os.path.exists(file) and os.path.getsize(file):  # an empty one is replaced at the start
            secrets.read_token("operator_file", file)


def _check_database(path: str) -> None:
    # Without `immutable`, reading would create files beside it, or wait for a lock.
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?immutable=1", uri=True)) as db:
            identify(db)
    except (sqlite3.Error, UnicodeError) as error:
        raise unusable(path, str(error)) from None


def open_timeline(config: Config, deliver: Callable[[Batch], None]) -> Timeline:
    """Create the timeline of a config. Raises BadSetting."""
    kind, _, path = config.timeline.partition(":")
    if kind == "memory" and not path:
        limits = config.limits
        return MemoryTimeline(
            deliver,
            posts_per_room=limits.memory_posts_per_room,
            total_bytes=limits.memory_bytes,
        )
    if kind == "sqlite" and path:
        return SqliteTimeline(deliver, path, config.limits)
    raise BadSetting("timeline", config.timeline, "is neither memory: nor sqlite:PATH")


def operator_file(config: Config) -> str | None:
    """Return the path of the operator token; None: there are no operators."""
    kind, _, path = config.timeline.partition(":")
    return config.operator_file or (f"{path}.operator" if kind == "sqlite" else None)


def password(config: Config) -> str | None:
    """Return the password in the config or in its file. Raises BadSetting."""
    file = config.password_file
    if file is None:
        return config.password
    if config.password is not None:
        text = "conflicts with --password; give only one"
        raise BadSetting("password_file", file, text)
    return secrets.read("password_file", file)


class Secrets(NamedTuple):
    """The contents of files that may change while the server runs."""

    password: str | None
    token: str | None
    tls: SSLContext | None


def read_secrets(config: Config) -> Secrets:
    """Read these files. Blocks, and logs nothing. Raises BadSetting."""
    file = operator_file(config)
    return Secrets(
        password(config),
        secrets.read_token("operator_file", file) if file is not None else None,
        tls.load(config.tls_cert, config.tls_key),
    )


def policy(config: Config) -> Policy:
    """Create the access policy of a config. Raises BadSetting."""
    secret, token, rules = password(config), None, None
    if (file := operator_file(config)) is not None:
        rules = _rules_file(file)
        token = credentials.read_or_make_token("operator_file", file)
    return Policy(
        password=secret, token=token, trust=config.trust, file=rules, limits=config.limits
    )


def _rules_file(operator_file: str) -> RulesFile:
    return RulesFile(f"{operator_file}.rules")

"""Whether an engine keeps what it is given: refuses settings that would lose messages."""

import errno
import logging
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

import gevent

from geventchat.config import BadSetting
from geventchat.server.timeline.redis import keys
from geventchat.server.timeline.redis.engine import Away, Engine, EngineError, Rejected
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.url import Where, parse

_FORMAT: Final = b"1"
"""The format of the keys, as the life key has it."""
_SAFE: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
"""The settings with which nothing is lost."""
_LEAST_VERSION: Final = 7
"""`XADD key 0-*` numbers by itself since then."""
RIGHTS: Final = "~{gc}:* &{gc}:* +@all -@dangerous +info +config|get +client|list +bgrewriteaof"
"""What a user of the engine has to be allowed."""
_CREDENTIALS: Final = re.compile("://(?:([^:@/?#]*)[^@/?#]*@)?")
_REFUSED, _ABSENT = os.strerror(errno.ECONNREFUSED), os.strerror(errno.ENOENT)
_PASSING: Final = ("BUSY", "LOADING", "MASTERDOWN")
"""Errors of an engine that may execute commands in a moment."""
_CROWDED: Final = "max number of clients"
_REWRITTEN: Final = "aof_last_bgrewrite_status"
_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.1
_WATCH_SECONDS: Final = 60.0
_ALLOWED: Final = Script("allowed")

_log: Final = logging.getLogger(__name__)


def check(url: str) -> Where:
    """Return where the engine of a timeline is. Waits.

    Raises BadSetting if the URL says nothing, or messages would not be safe there: one line, with
    the command that mends it.
    """
    try:
        where = parse(url)
    except ValueError as error:
        raise BadSetting("timeline", url, str(error)) from None
    until = time.monotonic() + _SECONDS
    with closing(Engine(where, name="geventchat-check", seconds=_SECONDS)) as engine:
        while True:
            try:
                reason = examine(engine)
                break
            except NotYet as error:
                if time.monotonic() > until:
                    raise unusable(url, where, error) from None
                gevent.sleep(_PAUSE_SECONDS)
            except EngineError as error:
                raise unusable(url, where, error) from None
    if reason is not None:
        raise BadSetting("timeline", url, reason)
    return where


def examine(engine: Engine) -> str | None:
    """Return why messages would not be safe there, and what mends it. Waits.

    Raises NotYet, and other EngineErrors.
    """
    info = _info(engine.call("INFO").decode("utf-8", "replace"))
    version = info.get("redis_version", "0")
    if int(version.partition(".")[0]) < _LEAST_VERSION:
        return f"Redis {version} is too old; use {_LEAST_VERSION}.0 or newer, or Valkey"
    if info.get("cluster_enabled") == "1":
        return "it is part of a cluster, which is not supported; use one with cluster-enabled no"
    if info.get("role") == "slave":
        primary = f"{info['master_host']}:{info['master_port']}"
        return f"it is a replica, which cannot store; give the address of its primary, {primary}"
    pairs = [each.decode() for each in engine.call("CONFIG", "GET", *_SAFE)]
    found = dict(zip(pairs[::2], pairs[1::2], strict=True))
    wrong = [name for name in _SAFE if found.get(name) not in _accepted(name, engine.where)]
    if wrong:
        return _would_lose(engine.where, found, wrong)
    # Since CONFIG SET appendonly yes: what is written meanwhile is lost with all else in a crash.
    unfinished = info.get("aof_rewrite_in_progress") == "1" or info.get(_REWRITTEN) == "err"
    if unfinished and info.get("aof_base_size") == "0":
        raise NotYet("it has not written its first append-only file yet; see INFO persistence")
    if command := engine.run(_ALLOWED, []):
        return _forbidden(engine.where, f"it may not use {command.decode()} on {{gc}}:*")
    return foreign(engine)


class NotYet(Away):
    """Messages would not be safe there yet."""


class Watch:
    """Notices once a minute whether somebody changed the settings of the engine meanwhile."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._reason: str | None = None
        self._next = time.monotonic() + _WATCH_SECONDS

    def step(self) -> None:
        """Look if it is time, and log a change for better or worse. Waits. Raises EngineError."""
        now = time.monotonic()
        if now < self._next:
            return
        engine = self._engine()
        try:
            reason = examine(engine)
        except NotYet:  # somebody mends it
            return
        self._next = now + _WATCH_SECONDS
        if reason is not None and reason != self._reason:
            _log.error("%s was changed: %s", engine.where, reason)
        elif reason is None and self._reason is not None:
            _log.info("%s has the right settings again", engine.where)
        self._reason = reason


def _info(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, _, value in lines}


def _accepted(name: str, where: Where) -> tuple[str, ...]:
    if name == "appendfsync" and where.everysec:
        return "everysec", "always"
    return (_SAFE[name],)


def _would_lose(where: Where, found: Mapping[str, str], wrong: Sequence[str]) -> str:
    has = " and ".join(f"{name} {found.get(name, 'unknown')}" for name in wrong)
    settings = [word for name in wrong for word in (name, _accepted(name, where)[0])]
    redis = shlex.join(command_line(where))
    # Without the second one, an engine that is restarted would have lost everything.
    command = f"{redis} CONFIG SET {shlex.join(settings)} && {redis} CONFIG REWRITE"
    but = ""
    if wrong == ["appendfsync"] and found.get("appendfsync") == "everysec":
        but = "; to accept the loss of two seconds in a crash, add ?fsync=everysec"
    return f"it has {has}, which would lose messages; run: {command}{but}"


def _forbidden(where: Where, what: str) -> str:
    user = where.user or "default"
    command = shlex.join(
        [*command_line(where, user="default"), "ACL", "SETUSER", user, *RIGHTS.split()]
    )
    return f"{what}; run: {command}"


def foreign(engine: Engine) -> str | None:
    """Return why the keys that are there are not ours. Waits. Raises EngineError."""
    kind = engine.call("TYPE", keys.LIFE)
    written = engine.call("HGET", keys.LIFE, "format") if kind == b"hash" else None
    if kind == b"none" or written == _FORMAT:
        return None
    by = "another program" if written is None else "another version of geventchat"
    return (
        f"its database {engine.where.database} has a key {keys.LIFE} of {by}; use another database"
    )


def unusable(url: str, where: Where, error: EngineError) -> BadSetting:
    """Return the error for an engine that gives no result, perhaps only at present."""
    answer = error.answer if isinstance(error, Away) else error
    code = answer.code if isinstance(answer, Rejected) else None
    reason = error.text.partition(". ")[0]  # others are advice
    passing = code is None or code in _PASSING or _CROWDED in reason
    if code == "NOAUTH":
        shown = _CREDENTIALS.sub(r"://\1:PASSWORD@", url, count=1)
        reason = f"it wants a password; set GEVENTCHAT_TIMELINE={shlex.quote(shown)}"
    elif code == "WRONGPASS":
        reason = "wrong user or password"
    elif code == "NOPERM":
        reason = _forbidden(where, error.text)
    elif reason == _REFUSED or (reason == _ABSENT and where.path is not None):
        reason += "; start Redis or Valkey there, on Debian with: systemctl start redis-server"
    return BadSetting("timeline", url, reason, temporary=passing)


def command_line(where: Where, *, user: str | None = None) -> list[str]:
    """Return how one calls the engine on the command line."""
    words = ["redis-cli"]
    if where.path is not None:
        words += ["-s", where.path]
    elif where.service is None:
        ((host, port),) = where.hosts
        words += ["-h", host, "-p", str(port)]
    if where.tls:
        words.append("--tls")
        files = {"--cacert": where.ca, "--cert": where.cert, "--key": where.key or where.cert}
        words += [word for each in files.items() if each[1] for word in each if word]
    if where.password is not None:
        words += ["--user", user or where.user or "default", "--askpass"]
    return words

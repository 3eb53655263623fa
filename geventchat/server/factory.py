"""Creates the parts of a server from its config, or only checks it. Reads files, which blocks."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from geventchat.config import BadSetting, Config, secrets
from geventchat.config.checks import scheme_and_path, without_password
from geventchat.server.access import credentials
from geventchat.server.access.policy import Policy
from geventchat.server.access.rules_file import RulesFile
from geventchat.server.search import Search, registry
from geventchat.server.timeline import Batch, Timeline
from geventchat.server.timeline.registry import KINDS, Kind
from geventchat.server.transport import ports, tls


def check(config: Config) -> None:
    """Raise BadSetting if no server can run with this config; creates nothing.

    Only a start finds a port in use, or a database locked by another server.
    """
    config.check_workers()
    password(config)
    tls.load(config.tls_cert, config.tls_key)
    kind, path = _kind(config)
    kind.check(path)
    ports.check(config.host)
    if (file := operator_file(config)) is not None:
        _rules_file(file).load()
        if os.path.exists(file) and os.path.getsize(file):  # an empty one is replaced at the start
            secrets.read_token("operator_file", file)


def world_readable(config: Config) -> list[tuple[str, str]]:
    """Return the setting and the file of each secret that every user of the machine can read.

    Group-readable is fine: that is how credentials are passed on.
    """
    key = "tls_cert" if config.tls_key is None else "tls_key"
    files = {
        "password_file": config.password_file,
        "operator_file": operator_file(config),
        key: getattr(config, key),
    }
    return [
        (setting, file)
        for setting, file in files.items()
        if file is not None and is_world_readable(file)
    ]


def is_world_readable(file: str) -> bool:
    """Return whether every user of the machine can read a file; a missing one, nobody."""
    with suppress(OSError):  # reported when it is read
        return bool(os.stat(file).st_mode & stat.S_IROTH)
    return False


def open_timeline(config: Config, deliver: Callable[[Batch], None]) -> Timeline:
    """Create the timeline of a config. Raises BadSetting."""
    kind, path = _kind(config)
    return kind.create(deliver, path, config.limits)


def search(config: Config, timeline: Timeline) -> Search | None:
    """Create the search of a timeline; None: it is turned off, and its index is deleted.

    An index that nobody keeps up to date would keep texts that are redacted meanwhile.
    """
    scheme, path = scheme_and_path(config.timeline)
    kind = registry.KINDS.get(scheme, registry.SCAN)
    if config.search == "off":
        kind.discard(path)
        return None
    return kind.create(path, timeline)


def kept(config: Config) -> str:
    """Return where messages are kept, for a log line."""
    kind, path = _kind(config)
    return kind.kept.format(path=without_password(path))


def operator_file(config: Config) -> str | None:
    """Return the path of the operator token; None: there are no operators."""
    kind, path = _kind(config)
    if config.operator_file is None and kind.operator_file is not None:
        return kind.operator_file.format(path=path)
    return config.operator_file


def _kind(config: Config) -> tuple[Kind, str]:
    scheme, path = scheme_and_path(config.timeline)
    return KINDS[scheme], path


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
    tls: tls.Certificate | None


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
        password=secret,
        token=token,
        trust=config.trust,
        file=rules,
        limits=config.limits,
        accounts=config.accounts,
    )


def _rules_file(operator_file: str) -> RulesFile:
    return RulesFile(f"{operator_file}.rules")

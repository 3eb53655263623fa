"""What a server is told: frozen records, with units in the names.

The command line makes a `Config` from flags, environment and a file; nothing else reads those.
Which values are good is said here, once, wherever they come from.
"""

import difflib
import ipaddress
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Final


class BadOption(Exception):
    """An option has a value that cannot be used: which, what, and why, on one line."""

    def __init__(self, option: str, value: object, reason: str) -> None:
        super().__init__(f"{option} {value}: {reason}")
        self.option = option
        self.value = value
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that need no tuning; in the file's table `[limits]`, never flags."""

    frame_bytes: int = 65_536
    """What a client may send before the null byte."""
    outbox_bytes: int = 1 << 20
    """What one client may still have to hear before it is closed with `slow`."""
    rooms_per_client: int = 128
    rooms: int = 10_000
    """Rooms that may have members at a time."""
    ping_seconds: int = 30
    """Silence after which a rich client is pinged, and then the time it has to answer."""
    nick_hold_seconds: int = 60
    """How long a nick waits for its client after a drop."""
    memory_posts_per_room: int = 10_000
    memory_bytes: int = 256 << 20
    """What `--timeline memory:` keeps in all."""


@dataclass(frozen=True, slots=True)
class Config:
    """All that `geventchat serve` can be told."""

    host: str = "127.0.0.1"
    port: int = 4040
    """0 takes a free one."""
    timeline: str = "sqlite:geventchat.db"
    """`sqlite:PATH` or `memory:`."""
    trust: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks exempt from flood and per-address limits."""
    password: str | None = field(default=None, repr=False)
    """What all have to know who come in; better from a file."""
    password_file: str | None = None
    operator_file: str | None = None
    """Where the operators' token is, made if it is not; None: beside the timeline's file.

    The rules they make are kept beside it.
    """
    web: bool = True
    """Whether the web door is open."""
    log_format: str = "text"
    """`text` or `json`."""
    echo: bool | None = None
    """Whether messages are shown in the server's window; None: when it is a terminal."""
    limits: Limits = field(default_factory=Limits)


SECRETS: Final = frozenset({"password"})
"""Fields that are never shown."""


def checked(option: str, key: str, value: object) -> Any:
    """Give what a field of Config holds for this value; `option` is what its user calls it.

    Raises BadOption.
    """
    spelt = " ".join(value) if isinstance(value, tuple) else str(value)
    if key in SECRETS:
        spelt = "given"
    return _checked(option, _CHECKS[key], value, spelt)


def from_file(path: Path) -> dict[str, Any]:
    """Give the fields of Config that a TOML file sets: the same names, `limits` a table.

    Raises BadOption, which names the file and the key. Reads the whole file before it returns.
    """
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadOption("--config", path, f"{error.strerror}") from None
    except UnicodeDecodeError:
        raise BadOption("--config", path, "is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadOption("--config", path, f"is not TOML: {error}") from None
    limits = settings.pop("limits", {})
    if not isinstance(limits, dict):
        raise BadOption(f"{path}: limits", _spelt(limits), "is not a table")
    known = _from_table(f"{path}: ", settings, _CHECKS)
    return known | {"limits": Limits(**_from_table(f"{path}: limits.", limits, _LIMIT_CHECKS))}


_Check = Callable[[Any], Any]
"""Gives the value that a field holds. Raises ValueError, whose text is the reason."""


def _from_table(
    where: str, table: Mapping[str, object], checks: Mapping[str, _Check]
) -> dict[str, Any]:
    found = {}
    for key, value in table.items():
        if key not in checks:
            near = difflib.get_close_matches(key, checks, n=1)
            guess = f", did you mean {near[0]}?" if near else ""
            raise BadOption(f"{where}{key}", _spelt(value), f"is not a setting{guess}")
        spelt = "given" if key in SECRETS else _spelt(value)
        found[key] = _checked(f"{where}{key}", checks[key], value, spelt)
    return found


def _checked(option: str, check: _Check, value: object, spelt: str) -> Any:
    try:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("holds U+0000, which no name can")
        return check(value)
    except ValueError as error:
        raise BadOption(option, spelt, str(error)) from None


def _spelt(value: object) -> str:
    """Give a value as the file spells it, near enough: `"4040"` is not 4040."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _whole(value: object, least: int, most: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):  # to Python, true is a number
        raise ValueError("is not a whole number")
    if most is not None and not least <= value <= most:
        raise ValueError(f"is not in the range {least} to {most}")
    if value < least:
        raise ValueError(f"is less than {least}")
    return value


def _host(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is not a host name or address")
    return value


def _timeline(value: object) -> str:
    if isinstance(value, str):
        kind, _, path = value.partition(":")
        if (kind == "memory" and not path and value != kind) or (kind == "sqlite" and path):
            return value
    raise ValueError("is neither memory: nor sqlite:PATH")


def _networks(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("is not a list of networks")
    return tuple(_network(each) for each in value)


def _network(value: object) -> str:
    try:
        if isinstance(value, str):
            return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        pass
    raise ValueError(f"{value} is not a network such as 10.0.0.0/8")


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def _password(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 1_024 or not value.isprintable():
        raise ValueError("is not one line of 1 to 1,024 characters")
    return value


def _file(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("is not the path of a file")
    return value


def _log_format(value: object) -> str:
    if value not in ("text", "json"):
        raise ValueError("is neither text nor json")
    return str(value)


_CHECKS: Final[dict[str, _Check]] = {
    "host": _host,
    "port": partial(_whole, least=0, most=65_535),
    "timeline": _timeline,
    "trust": _networks,
    "password": _password,
    "password_file": _file,
    "operator_file": _file,
    "web": _truth,
    "log_format": _log_format,
    "echo": _truth,
}
_LIMIT_CHECKS: Final[dict[str, _Check]] = {
    **{limit.name: partial(_whole, least=1) for limit in fields(Limits)},
    # The protocol promises clients at least this much.
    "ping_seconds": partial(_whole, least=20),
}

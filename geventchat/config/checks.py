"""Validates the values of settings, wherever they come from.

A check returns the value to store, or raises ValueError with the reason for the error message.
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

Check = Callable[[Any], Any]


# RFC 1123, 2.1, and the names that container networks give with underscores.
_LABEL: Final = "[0-9A-Za-z_][0-9A-Za-z_-]{0,62}"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ORIGIN: Final = re.compile(r"https?://(?:[0-9A-Za-z_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SECRET: Final = re.compile(r"((?<=://)[^:/]*:).*(@)|([?&]password=)[^&]*", re.DOTALL)
_PERMANENT: Final = frozenset(
    {
        errno.EACCES, errno.EAFNOSUPPORT, errno.EINVAL, errno.EISDIR, errno.ELOOP,
        errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ENOTSUP, errno.EPERM, errno.EROFS,
    }
)  # fmt: skip
"""Errors of the system that do not pass by themselves, such as a file that is not there."""


ENGINES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
"""The schemes of timelines that Redis or Valkey stores; they go on with `//`."""


class BadOption(Exception):
    """An option has an unusable value; the text is its name, the value and the reason.

    A password in a URL is not part of the text.

    `temporary`: it may be usable later, unchanged, such as a port that is in use.
    """

    def __init__(self, option: str, value: object, reason: str, *, temporary: bool = False) -> None:
        shown = without_password(str(value))
        if not shown or shown != shown.strip():  # its ends would not be visible
            shown = f'"{shown}"'
        super().__init__(f"{option} {shown}: {reason}")
        self.option = option
        self.value = value
        self.reason = reason
        self.temporary = temporary


class BadSetting(BadOption):
    """A setting has a value that a server cannot use.

    It is named by its flag until the command line puts in the source of the value.
    """

    def __init__(self, name: str, value: object, reason: str, *, temporary: bool = False) -> None:
        super().__init__(flag(name), value, reason, temporary=temporary)
        self.name = name

    @classmethod
    def of(cls, name: str, value: object, error: OSError) -> Self:
        """Return the error for a setting that the system cannot use."""
        reason = error.strerror or str(error)
        return cls(name, value, reason, temporary=is_temporary(error))


def is_temporary(error: OSError) -> bool:
    """Return whether an error of the system may pass by itself."""
    # The number of a gaierror is another one: that a name is not known may pass.
    return error.errno not in _PERMANENT or isinstance(error, socket.gaierror)


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


def whole(least: int, most: int | None = None) -> Check:
    """Accept whole numbers from `least` to `most`, inclusive."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):  # True is an int
            raise ValueError("is not a whole number")
        if most is not None and not least <= value <= most:
            raise ValueError(f"is not in the range {least} to {most}")
        if value < least:
            raise ValueError(f"is less than {least}")
        return value

    return check


def host(value: object) -> str:
    """Accept a host name or address; it is resolved when it is needed."""
    if isinstance(value, str) and value:
        with suppress(UnicodeError):  # a label is empty or too long
            value.encode("idna")
            return value
    raise ValueError("is not a host name or address")


def timeline(value: object) -> str:
    """Accept the name of a timeline."""
    if isinstance(value, str):
        scheme, path = scheme_and_path(value)
        if (
            value == "memory:"
            or (scheme == "sqlite" and path not in ("", ":memory:"))
            or (scheme in ENGINES and path == value)
        ):
            return value
    raise ValueError("is none of sqlite:PATH, redis://HOST and memory:")


def scheme_and_path(timeline: str) -> tuple[str, str]:
    """Split the name of a timeline; the path of one that an engine stores is its whole URL."""
    scheme, _, path = timeline.partition(":")
    if scheme in ENGINES and path.startswith("//"):
        return scheme, timeline
    return scheme, path


def without_password(url: str) -> str:
    """Return a URL as it may be shown, or a text that is none as it is."""
    return _SECRET.sub(r"\1\3***\2", url)


def networks(value: object) -> tuple[str, ...]:
    """Accept networks, and addresses as networks of one."""
    if not isinstance(value, list | tuple):
        raise ValueError("is not a list of networks")
    return tuple(_network(each) for each in value)


def hosts(value: object) -> tuple[str, ...]:
    """Accept names of hosts, without ports."""
    if not isinstance(value, list | tuple):
        raise ValueError("is not a list of hosts")
    for each in value:
        if not isinstance(each, str) or not _HOST.fullmatch(each):
            raise ValueError(f"{each or 'an empty text'} is not a name such as chat.example.org")
    return tuple(value)


def origins(value: object) -> tuple[str, ...]:
    """Accept origins of web pages."""
    if not isinstance(value, list | tuple):
        raise ValueError("is not a list of origins")
    for each in value:
        if not isinstance(each, str) or not _ORIGIN.fullmatch(each):
            text = "is not an origin such as https://example.org"
            raise ValueError(f"{each or 'an empty text'} {text}")
    return tuple(value)


def truth(value: object) -> bool:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def password(value: object) -> str:
    """Accept one line of printable text."""
    if not isinstance(value, str) or not 1 <= len(value) <= 1_024 or not value.isprintable():
        raise ValueError("is not one line of 1 to 1,024 characters")
    return value


def file(value: object) -> str:
    """Accept the path of a file; it is opened when it is needed."""
    if not isinstance(value, str) or not value:
        raise ValueError("is not the path of a file")
    return value


def address(value: object) -> str:
    """Accept HOST:PORT, [HOST]:PORT and `none`."""
    if isinstance(value, str):
        name, _, port = value.rpartition(":")
        if value == "none" or (name and re.fullmatch("[0-9]{1,5}", port) and int(port) <= 65_535):
            host(name or value)
            return value
    raise ValueError("is neither HOST:PORT nor none")


def accounts(value: object) -> str:
    """Accept who may register an account, and who has to."""
    if value not in ("open", "closed", "required"):
        raise ValueError("is neither open, closed nor required")
    return str(value)


def search(value: object) -> str:
    """Accept whether there is search."""
    if value not in ("on", "off"):
        raise ValueError("is neither on nor off")
    return str(value)


def log_format(value: object) -> str:
    """Accept a format of the log."""
    if value not in ("text", "json"):
        raise ValueError("is neither text nor json")
    return str(value)


def _network(value: object) -> str:
    try:
        if isinstance(value, str):
            return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        pass
    raise ValueError(f"{value or 'an empty text'} is not a network such as 10.0.0.0/8")

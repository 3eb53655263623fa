"""What a server is told: frozen records, with units in the names.

Each setting is declared once, with its default, the values that are good, and what it is: flags,
the file, `geventchat config` and the documentation of the fields are made of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self, TypeVar

from geventchat.config import checks
from geventchat.config.checks import BadOption, BadSetting, Check

__all__ = ["ADMIN_PORT", "BadOption", "BadSetting", "Config", "Limits"]

ADMIN_PORT: Final = 4041
"""Where the admin port is unless it was asked for elsewhere, or taken."""

T = TypeVar("T")
_POSITIVE: Final = checks.whole(1)


def setting(
    default: T,
    check: Check,
    text: str,
    *,
    metavar: str | None = None,
    live: bool = False,
    secret: bool = False,
) -> T:
    """Declare a setting; `live` ones may change while the server runs, `secret` ones are not shown.

    `metavar` is what stands for its value in the help.
    """
    details = {"check": check, "text": text, "metavar": metavar, "live": live, "secret": secret}
    declared: Any = field(default=default, metadata=details, repr=not secret)
    return declared  # type: ignore[no-any-return]


def limit(default: int, text: str, check: Check = _POSITIVE, *, live: bool = True) -> int:
    """Declare a limit; whoever comes from then on meets a changed one."""
    return setting(default, check, text, live=live)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that need no tuning; in the file's table `[limits]`, never flags."""

    frame_bytes: int = limit(
        65_536,
        "What a client may send before the null byte.",
        checks.whole(1, 128 << 10),  # JSON may spell each byte in six; 1 MiB is what we may send
    )
    frame_seconds: int = limit(30, "Time in which a frame that has begun is complete.")
    handshake_seconds: int = limit(5, "Time in which a client of TLS has shaken hands.")
    connections: int | None = setting(
        None, _POSITIVE, "Connections at a time; as many as there are descriptors for.", live=True
    )
    connections_per_address: int = limit(
        256, "Connections that one address, or one IPv6 /64, may have at a time."
    )
    arrivals_per_minute: int = limit(
        60, "New connections of one address in a minute; who comes back is not counted."
    )
    hello_seconds: int = limit(
        10, "Time to say hello where a password is needed, or nobody new is let in."
    )
    messages_at_once: int = limit(
        5, "Messages a client may send at once; each 4 KiB of one counts as another."
    )
    messages_per_second: int = limit(2, "Those it may send then, until it was quiet for a while.")
    flood_seconds: int = limit(
        30, "Time for which one who is too quick may keep 32 KiB waiting before it is closed."
    )
    outbox_bytes: int = limit(
        1 << 20, "What one client may still have to hear before it is closed with `slow`."
    )
    rooms_per_client: int = limit(128, "Rooms that one client may be in.")
    rooms: int = limit(10_000, "Rooms with members at a time; one address may open a quarter.")
    ping_seconds: int = limit(
        30,
        "Silence after which a rich client is pinged, and then the time it has to answer.",
        checks.whole(20),  # the protocol promises clients at least this much
    )
    nick_hold_seconds: int = limit(60, "How long a nick waits for its client after a drop.")
    history_days: int | None = setting(
        None, _POSITIVE, "Age at which posts in SQLite are let go of; keep all.", live=True
    )
    history_posts_per_room: int | None = setting(
        None, _POSITIVE, "Posts of a room that SQLite keeps; all.", live=True
    )
    history_bytes: int | None = setting(
        None,
        checks.whole(1 << 20),
        "Size of the database above which the largest rooms give; any.",
        live=True,
    )
    memory_posts_per_room: int = limit(
        10_000, "Posts of a room that `--timeline memory:` keeps.", live=False
    )
    memory_bytes: int = limit(256 << 20, "What `--timeline memory:` keeps in all.", live=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All that `geventchat serve` can be told."""

    host: str = setting("127.0.0.1", checks.host, "Address to listen on.")
    port: int = setting(
        4040,
        checks.whole(0, 65_535),
        "Port to listen on; 0 takes a free one, told in the first line.",
        metavar="PORT",
    )
    timeline: str = setting(
        "sqlite:geventchat.db",
        checks.timeline,
        "Where posts are kept.",
        metavar="sqlite:PATH|memory:",
    )
    trust: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        checks.networks,
        "Network exempt from flood and per-address limits; repeat for more.",
        metavar="CIDR",
        live=True,
    )
    password: str | None = setting(
        None,
        checks.password,
        "What all have to know who come in; other users of this machine can read it here.",
        metavar="TEXT",
        live=True,
        secret=True,
    )
    password_file: str | None = setting(
        None,
        checks.file,
        "The same from a file, which they cannot.",
        metavar="FILE",
        live=True,
    )
    tls_cert: str | None = setting(
        None,
        checks.file,
        "Speak TLS, with the certificate and what leads to it in this file.",
        metavar="FILE",
        live=True,
    )
    tls_key: str | None = setting(
        None,
        checks.file,
        "Its key.  [default: in the same file]",
        metavar="FILE",
        live=True,
    )
    operator_file: str | None = setting(
        None,
        checks.file,
        "Where the operators' token is, or will be.  [default: beside the database]",
        metavar="FILE",
    )
    """The rules that operators make are kept beside it."""
    admin: str | None = setting(
        None,
        checks.address,
        "Address of the port with /healthz, /metrics and /top, or `none`.  "
        f"[default: 127.0.0.1:{ADMIN_PORT}, if it is free]",
        metavar="HOST:PORT",
    )
    drain_seconds: int = setting(
        10,
        checks.whole(1, 600),
        "How long to take what clients have sent, and tell them to come back, before it ends.",
        metavar="N",
        live=True,
    )
    log_format: str = setting("text", checks.log_format, "Form of the log.", metavar="text|json")
    echo: bool | None = setting(
        None, checks.truth, "Whether messages are shown here.  [default: on a terminal]"
    )
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Give what these settings make, `limits` among them as a mapping; the rest is default."""
        return cls(**{**settings, "limits": Limits(**settings.get("limits", {}))})

    def renewed(self, other: "Config") -> tuple["Config", list[str]]:
        """Give this with the `live` settings of another, and the names of what else differs."""
        limits, fixed_limits = _renewed(self.limits, other.limits)
        config, fixed = _renewed(self, other)
        fixed += [f"limits.{name}" for name in fixed_limits]
        return replace(config, limits=limits), fixed


_Record = TypeVar("_Record", Config, Limits)


def _renewed(record: _Record, other: _Record) -> tuple[_Record, list[str]]:
    differ = [
        each
        for each in fields(record)
        if each.metadata and getattr(record, each.name) != getattr(other, each.name)
    ]
    live = {each.name: getattr(other, each.name) for each in differ if each.metadata["live"]}
    return replace(record, **live), [each.name for each in differ if each.name not in live]

"""The settings of a server: frozen records, with units in the names.

Each setting is declared once, with its default, its valid values and a description: flags,
the file, `geventchat config` and the documentation of the fields are made of that.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Final, Self, TypeVar

from geventchat.config import checks
from geventchat.config.checks import BadOption, BadSetting, Check

__all__ = ["ADMIN_PORT", "WEB_PORT", "BadOption", "BadSetting", "Config", "Limits"]

ADMIN_PORT: Final = 4041
"""The default admin port."""
WEB_PORT: Final = 8040
"""The default port of the page."""

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
    url: bool = False,
) -> T:
    """Declare a setting; `live` ones may change while the server runs, `secret` ones are not shown.

    `metavar` stands for its value in the help. The password in a `url` is not shown either.
    """
    details = {"check": check, "text": text, "metavar": metavar, "live": live, "secret": secret}
    declared: Any = field(default=default, metadata=details, repr=not (secret or url))
    return declared  # type: ignore[no-any-return]


def limit(default: int, text: str, check: Check = _POSITIVE, *, live: bool = True) -> int:
    """Declare a limit; a changed one applies to new connections."""
    return setting(default, check, text, live=live)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that need no tuning; in the table `[limits]` of the file, never flags."""

    frame_bytes: int = limit(
        65_536,
        "Longest frame that a client may send, without its null byte.",
        # At least a hello with a token, a password and some rooms; and as JSON may spell each byte
        # in six, at most what we may send with 1 MiB.
        checks.whole(4 << 10, 128 << 10),
    )
    frame_seconds: int = limit(30, "Time in which a frame has to be complete.")
    handshake_seconds: int = limit(
        5, "Time for the TLS handshake, a PROXY header before it, and each request of the page."
    )
    connections: int | None = setting(
        None,
        _POSITIVE,
        "Connections at a time; unset: as many as there are file descriptors for.",
        live=True,
    )
    connections_per_address: int = limit(
        256, "Connections of one address, or one IPv6 /64, at a time."
    )
    arrivals_per_minute: int = limit(
        60, "New connections of one address per minute; reconnects are not counted."
    )
    hello_seconds: int = limit(
        10, "Time to send hello on the web door, or where the server has a password or is closed."
    )
    messages_at_once: int = limit(
        5, "Burst of messages per client; each 4 KiB of a message counts as one more."
    )
    messages_per_second: int = limit(2, "Sustained messages per second and client.")
    flood_seconds: int = limit(
        30, "Time for which a client may keep 32 KiB waiting before it is closed with `flood`."
    )
    outbox_bytes: int = limit(1 << 20, "Bytes queued per client before it is closed with `slow`.")
    rooms_per_client: int = limit(128, "Rooms per client.")
    rooms: int = limit(
        10_000, "Rooms with members at a time; one address may open a quarter of them."
    )
    new_rooms_per_day: int = limit(
        200, "Rooms with names never used before that one address may start in a day."
    )
    ping_seconds: int = limit(
        30,
        "Silence after which a rich client is pinged, and then the time to answer.",
        checks.whole(20),  # the protocol promises clients at least this much
    )
    nick_hold_seconds: int = limit(
        60, "Time for which a nick is reserved after its client lost its connection."
    )
    history_days: int | None = setting(
        None, _POSITIVE, "Delete stored messages older than this; unset: never.", live=True
    )
    history_posts_per_room: int | None = setting(
        None,
        _POSITIVE,
        "Stored messages per room above which the oldest are deleted; unset: no limit, on Redis "
        "10,000.",
        live=True,
    )
    history_bytes: int | None = setting(
        None,
        checks.whole(1 << 20),
        "Size of the database, or of what Redis has in memory, above which the largest rooms lose "
        "old messages; unset: no limit, on Redis 1 GiB.",
        live=True,
    )
    memory_posts_per_room: int = limit(
        10_000, "Messages per room with `--timeline memory:`.", live=False
    )
    memory_bytes: int = limit(
        256 << 20, "Size of all messages with `--timeline memory:`.", live=False
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of `geventchat serve`."""

    host: str = setting("127.0.0.1", checks.host, "Address to listen on.")
    port: int = setting(
        4040,
        checks.whole(0, 65_535),
        "Port to listen on; 0: a free one, shown in the first line.",
        metavar="PORT",
    )
    timeline: str = setting(
        "sqlite:geventchat.db",
        checks.timeline,
        "Where messages are stored.",
        metavar="sqlite:PATH|redis://HOST|memory:",
        url=True,
    )
    workers: int = setting(
        1,
        checks.whole(1, 256),
        "Processes that share the work and the ports; more than 1 need a timeline redis://….",
        metavar="N",
    )
    accounts: str = setting(
        "open",
        checks.accounts,
        "Who may register: everybody, nobody, or everybody has to.",
        metavar="open|closed|required",
        live=True,
    )
    search: str = setting(
        "on", checks.search, "Whether messages can be searched.", metavar="on|off"
    )
    trust: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        checks.networks,
        "Network exempt from flood and per-address limits; repeatable.",
        metavar="CIDR",
        live=True,
    )
    proxy: tuple[str, ...] = setting(
        (),
        checks.networks,
        "Network of proxies, whose PROXY header names the client; repeatable.",
        metavar="CIDR",
        live=True,
    )
    web_proxy: tuple[str, ...] = setting(
        (),
        checks.networks,
        "Network of proxies before the page, whose X-Forwarded-For or Forwarded names the client; "
        "repeatable.",
        metavar="CIDR",
        live=True,
    )
    password: str | None = setting(
        None,
        checks.password,
        "Password for all users; visible in the process list.",
        metavar="TEXT",
        live=True,
        secret=True,
    )
    password_file: str | None = setting(
        None,
        checks.file,
        "File with the password.",
        metavar="FILE",
        live=True,
    )
    tls_cert: str | None = setting(
        None,
        checks.file,
        "File with the certificate chain; enables TLS.",
        metavar="FILE",
        live=True,
    )
    tls_key: str | None = setting(
        None,
        checks.file,
        "File with the key of the certificate.  [default: the same file]",
        metavar="FILE",
        live=True,
    )
    operator_file: str | None = setting(
        None,
        checks.file,
        "File with the operator token, made if missing.  [default: beside the database]",
        metavar="FILE",
    )
    """The rules of operators are stored beside it."""
    web: str | None = setting(
        None,
        checks.address,
        "Address of the page for browsers, or `none`.  "
        f"[default: 127.0.0.1:{WEB_PORT}, if it is free]",
        metavar="HOST:PORT",
    )
    web_host: tuple[str, ...] = setting(
        (),
        checks.hosts,
        "Further name of this server in the addresses of the page; repeatable.",
        metavar="HOST",
        live=True,
    )
    web_origin: tuple[str, ...] = setting(
        (),
        checks.origins,
        "Origin of another page that may use this server; repeatable.",
        metavar="URL",
        live=True,
    )
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
        "Time to store and deliver what was sent and say goodbye, when shutting down.",
        metavar="N",
        live=True,
    )
    log_format: str = setting("text", checks.log_format, "Format of the log.", metavar="text|json")
    echo: bool | None = setting(
        None, checks.truth, "Show messages on standard output.  [default: on a terminal]"
    )
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return a config with these settings, where `limits` is a mapping; the rest is default."""
        return cls(**{**settings, "limits": Limits(**settings.get("limits", {}))})

    def check_workers(self) -> None:
        """Raise BadSetting if several workers could not share the timeline."""
        scheme, _ = checks.scheme_and_path(self.timeline)
        if self.workers > 1 and scheme not in checks.ENGINES:
            reason = (
                "several workers share what Redis or Valkey stores: they need --timeline "
                "redis://HOST; `make cluster` shows it, docs/operations.md says how to get one"
            )
            raise BadSetting("workers", self.workers, reason)

    def renewed(self, other: "Config") -> tuple["Config", list[str]]:
        """Return this with the `live` settings of another, and the names of what else differs.

        A password and TLS may be changed, but not removed.
        """
        limits, fixed_limits = _renewed(self.limits, other.limits)
        config, fixed = _renewed(self, other)
        for guards in _GUARDS:  # a file cut short, or not written yet, may not open the server
            held = {name: getattr(self, name) for name in guards}
            if any(held.values()) and not any(getattr(other, name) for name in guards):
                config = replace(config, **held)
                fixed += [name for name in guards if held[name]]
        fixed += [f"limits.{name}" for name in fixed_limits]
        return replace(config, limits=limits), fixed

    def changes(self, other: "Config") -> list[str]:
        """Return the names of the settings in which another differs."""
        return [
            *(each.name for each in _differ(self, other)),
            *(f"limits.{each.name}" for each in _differ(self.limits, other.limits)),
        ]


_GUARDS: Final = (("password", "password_file"), ("tls_cert", "tls_key"))

_Record = TypeVar("_Record", Config, Limits)


def _renewed(record: _Record, other: _Record) -> tuple[_Record, list[str]]:
    differ = _differ(record, other)
    live = {each.name: getattr(other, each.name) for each in differ if each.metadata["live"]}
    return replace(record, **live), [each.name for each in differ if each.name not in live]


def _differ(record: _Record, other: _Record) -> "list[Field[Any]]":
    return [
        each
        for each in fields(record)
        if each.metadata and getattr(record, each.name) != getattr(other, each.name)
    ]

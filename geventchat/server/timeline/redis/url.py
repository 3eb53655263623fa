"""Where the engine is: reads the URL of a timeline on Redis or Valkey. Knows no sockets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from geventchat.config.checks import ENGINES, without_password

_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_URL: Final = re.compile(
    r"(?P<scheme>[a-z+]+)://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z_.-]+))(?::(?P<port>[0-9]{1,5}))?"
)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Where:
    """Where an engine is, and how to get in. Its text is the URL without the password."""

    hosts: tuple[Address, ...] = ()
    """The engine's address, or those of its Sentinels; none for a unix socket."""
    path: str | None = None
    """The unix socket."""
    service: str | None = None
    """What the Sentinels call the engine; None: there are none."""
    tls: bool = False
    ca: str | None = None
    """The file with the certificates to trust; None: those of the system."""
    cert: str | None = None
    """The file with the certificate to show, and its key unless `key` has that; None: none."""
    key: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    everysec: bool = False
    """Whether `appendfsync everysec` is accepted, which may lose two seconds in a crash."""
    shown: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.shown


def parse(url: str) -> Where:
    """Return what a URL says. Raises ValueError with the reason, which never has the password."""
    parts = _URL.fullmatch(url)
    if parts is None or parts["scheme"] not in ENGINES:
        hint = "; write @ / ? # % in a password as %40 %2F %3F %23 %25" if "@" in url else ""
        raise ValueError(f"is not a URL such as redis://user:password@host:6379/0{hint}")
    scheme, path, query = parts["scheme"], parts["path"] or "", _query(parts["query"] or "")
    tls, sentinel = scheme.startswith("rediss"), scheme.endswith("+sentinel")
    service = None
    if scheme == "unix":
        hosts: tuple[Address, ...] = ()
        if parts["hosts"] or path in ("", "/"):
            raise ValueError("does not name a socket, as unix:///run/redis/redis.sock does")
        database = query.pop("db", "")
    else:
        service, _, database = path[1:].rpartition("/") if sentinel else ("", "", path[1:])
        if sentinel and not service:
            service, database = database, ""
        hosts = tuple(
            _address(each, SENTINEL_PORT if sentinel else _PORT)
            for each in parts["hosts"].split(",")
        )
        if len(hosts) > 1 and not sentinel:
            raise ValueError("has more than one host, which takes redis+sentinel://")
        if sentinel and not service:
            raise ValueError("does not name the service, as redis+sentinel://host/mymaster does")
    files = {name: query.pop(name) for name in ("ca", "cert", "key") if name in query}
    for name, file in files.items():
        if not tls or not file:
            raise ValueError(f"has {name}=, which takes rediss:// and the path of a file")
    if "key" in files and "cert" not in files:
        raise ValueError("has key= without cert=")
    fsync = query.pop("fsync", "always")
    if fsync not in ("always", "everysec"):
        raise ValueError("has a ?fsync= that is neither always nor everysec")
    if query:
        raise ValueError(f"has ?{next(iter(query))}=, which is not known")
    return Where(
        hosts=hosts,
        path=unquote(path) if scheme == "unix" else None,
        service=unquote(service) if service else None,
        tls=tls,
        **files,
        user=unquote(parts["user"]) if parts["user"] else None,
        password=unquote(parts["password"]) if parts["password"] else None,
        database=_database(database),
        everysec=fsync == "everysec",
        shown=without_password(url),
    )


def _query(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    query: Mapping[str, str] = dict(pairs)
    if len(query) < len(pairs):
        raise ValueError("says something twice after its question mark")
    return dict(query)


def _address(text: str, port: int) -> Address:
    host = _HOST.fullmatch(text)
    if host is None or not 0 < int(host["port"] or port) <= 65_535:
        raise ValueError("does not name HOST or HOST:PORT, as redis://host:6379 does")
    return host["v6"] or host["name"], int(host["port"] or port)


def _database(text: str) -> int:
    if not re.fullmatch("[0-9]{0,9}", text):
        raise ValueError("has a database that is not a number, such as 0")
    return int(text or 0)

"""How clients reach a server, and what it asks of them.

Given by the names that `geventchat connect` has for it, where it has some.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from gevent.ssl import SSLContext

from geventchat.client import tls_context
from loadtests.support.command import CannotRun

_FILES: Final = ("password_file", "operator_file", "ca")


@dataclass(frozen=True, slots=True)
class Login:
    """Password, operator token, trust in certificates, and the door, as far as they are needed."""

    password: str | None = None
    token: str | None = None
    tls: SSLContext | None = None
    web: bool = False
    """Whether the address is that of the web door: clients are browsers, and speak WebSocket."""

    @property
    def secret(self) -> bool:
        """Whether there is anything that only its server may see."""
        return self.password is not None or self.token is not None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return what the options and the environment say. Raises CannotRun."""
        try:
            tls = tls_context(options.ca) if options.tls or options.ca is not None else None
        except OSError as error:
            raise CannotRun(f"--ca: {error}") from None
        return cls(
            _secret("--password-file", options.password_file, "GEVENTCHAT_PASSWORD"),
            _secret("--operator-file", options.operator_file, "GEVENTCHAT_TOKEN"),
            tls,
            options.web,
        )


def add_login(parser: Any) -> None:
    """Add the options to a parser, or to a group of one."""
    environment = os.environ.get
    parser.add_argument(
        "--password-file", metavar="FILE", default=environment("GEVENTCHAT_PASSWORD_FILE"),
        help="file with the server's password; else GEVENTCHAT_PASSWORD",
    )  # fmt: skip
    parser.add_argument(
        "--operator-file", metavar="FILE", default=environment("GEVENTCHAT_OPERATOR_FILE"),
        help="file with the operator token, for users who are operators; else GEVENTCHAT_TOKEN",
    )  # fmt: skip
    parser.add_argument("--tls", action="store_true", help="use TLS and verify the host name")
    parser.add_argument(
        "--ca", metavar="FILE", help="use TLS and trust only the certificates in this file"
    )
    parser.add_argument(
        "--web",
        action="store_true",
        help="users are browsers: WebSocket, at the web door's address",
    )


def as_arguments(options: argparse.Namespace) -> list[str]:
    """Return the options for the command line of another program."""
    files = ((name, getattr(options, name)) for name in _FILES)
    given = [f"--{name.replace('_', '-')}={path}" for name, path in files if path is not None]
    return [*given, *(f"--{name}" for name in ("tls", "web") if getattr(options, name))]


def for_own_server(options: argparse.Namespace) -> list[str]:
    """Return the options of a server started for the run, which asks for the same.

    Forgets the token of another server, if it is only in the environment.
    """
    os.environ.pop("GEVENTCHAT_TOKEN", None)
    files = {"--password-file": options.password_file, "--operator-file": options.operator_file}
    return [f"{option}={path}" for option, path in files.items() if path is not None]


def _secret(option: str, path: str | None, variable: str) -> str | None:
    if path is None:
        return os.environ.get(variable) or None
    try:
        text = Path(path).read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise CannotRun(f"{option} {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise CannotRun(f"{option} {path} does not hold one line of text; write the secret into it")
    return text

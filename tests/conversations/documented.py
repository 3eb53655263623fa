"""HAProxy and nginx, run with the very text of docs/operations.md."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import gevent
import pytest
from gevent import socket

from tests.conversations.web import WebChat

_TEXT: Final = Path(__file__).parents[2].joinpath("docs", "operations.md").read_text("utf-8")
_CERTIFICATE: Final = "chat.example.org.pem"
_CHAT, _WEB = "192.0.2.10:4040", "192.0.2.10:8040"
PROGRAMS: Final = ("haproxy", "nginx")
_SECONDS: Final = 20
_MODULES: Final = "/etc/nginx/modules-enabled/*.conf"
"""Where Debian's packages say what nginx has to load."""


class Proxy(NamedTuple):
    """A running proxy."""

    chat: tuple[str, int]
    """Where it passes connections on to the chat port,"""
    web: tuple[str, int]
    """and to the page, over TLS."""


def require(program: str) -> None:
    """Skip the test if a program is missing, or fail it where all have to be there."""
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        missing = f"{program} is missing: apt-get install haproxy nginx libnginx-mod-stream"
        if os.environ.get("DOCUMENTED_PROXIES") == "required":
            pytest.fail(missing)
        pytest.skip(missing)


@contextmanager
def running(program: str, chat: WebChat, certificate: str, folder: Path) -> Iterator[Proxy]:
    """Run a proxy before a server, as the document says; only addresses and paths are replaced."""
    with ExitStack() as stack:
        doors = [stack.enter_context(_listening()) for _ in range(2)]
        upstream = [*map(_shown, (chat.address, chat.web_address))]
        start = _haproxy if program == "haproxy" else _nginx
        secure = chat.server._config.tls_cert is not None  # then its page speaks TLS, too
        command, variables = start(folder, doors, certificate, upstream, secure=secure)
        with (
            folder.joinpath("log").open("wb") as log,
            subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **variables},
                pass_fds=[door.fileno() for door in doors],
            ) as process,
        ):
            try:
                # What connects before it is ready waits in the queue of the listening socket.
                yield Proxy(*(door.getsockname() for door in doors))
                assert process.poll() is None, folder.joinpath("log").read_text()
            finally:
                process.terminate()  # nginx then ends its workers
                try:
                    process.wait(_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def _haproxy(
    folder: Path,
    doors: list[socket.socket],
    certificate: str,
    upstream: list[str],
    *,
    secure: bool,
) -> tuple[list[str], dict[str, str]]:
    chat, web = doors
    text = _replaced(
        _example("HAProxy:"),
        {
            "bind :4040": f"bind fd@{chat.fileno()}",
            "bind :443": f"bind fd@{web.fileno()}",
            f"/etc/haproxy/{_CERTIFICATE}": certificate,
            _CHAT: upstream[0],
            _WEB: upstream[1] + " ssl verify none" * secure,
            # So that a test need not wait for one; it is the time for each, too.
            " check\n": " check inter 500ms\n",
        },
    )
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return ["haproxy", "-db", "-f", str(file)], {}


def _nginx(
    folder: Path,
    doors: list[socket.socket],
    certificate: str,
    upstream: list[str],
    *,
    secure: bool,
) -> tuple[list[str], dict[str, str]]:
    chat, web = (_shown(door.getsockname()) for door in doors)
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = _replaced(
        _example("nginx, in `nginx.conf`"),
        {
            "listen 4040;": f"listen {chat};",
            "listen 443 ssl;": f"listen {web} ssl;",
            f"/etc/nginx/{_CERTIFICATE}": certificate,
            "http {\n": f"http {{\n    access_log off;\n{temporary}",
            _CHAT: upstream[0],
            f"http://{_WEB}": "http" + "s" * secure + f"://{upstream[1]}",
        },
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log stderr;\n"
        f"include {_MODULES};\nevents {{}}\n{text}"
    )
    # The variable by which an nginx hands its sockets on to its successor.
    sockets = "".join(f"{door.fileno()};" for door in doors)
    return ["nginx", "-c", str(file), "-e", "stderr"], {"NGINX": sockets}


def _shown(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


def _example(heading: str) -> str:
    """Return the indented block of the document that follows a line with this start."""
    found = re.search(rf"^{re.escape(heading)}.*\n\n((?:(?:    .*)?\n)+)", _TEXT, re.MULTILINE)
    assert found, heading
    return re.sub(r"^    ", "", found[1], flags=re.MULTILINE)


def _replaced(text: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(128)
        yield door


def wait_until(condition: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Wait until a function returns true."""
    with gevent.Timeout(seconds):
        while not condition():
            gevent.sleep(0.005)

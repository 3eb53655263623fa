"""A socket to an engine: over TCP, TLS or a unix socket, also where Sentinels say that it is."""

import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from typing import Any, Final, TypeAlias, cast

import hiredis
from gevent import Timeout, sleep, socket
from gevent.ssl import SSLContext

from geventchat.server.timeline.redis.errors import Away, EngineError, InDoubt, Rejected
from geventchat.server.timeline.redis.url import Address, Where

Part: TypeAlias = bytes | str | int | Callable[[], bytes]
"""A part of a command; a function is called when the command is sent, and never waits."""

_READ_BYTES: Final = 65_536
_UNBROKEN_BYTES: Final = 1 << 20
"""What is read before others have their turn: some 1 ms."""
_SENTINEL_SECONDS: Final = 1.0
"""Time for one Sentinel to answer."""
_INCOMPLETE: Final = object()


class Line:
    """A connected socket, and the answers that come over it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = hiredis.Reader(
            protocolError=hiredis.ProtocolError, replyError=Rejected, notEnoughData=_INCOMPLETE
        )

    def usable(self) -> bool:
        """Return whether it is open, with nothing to read that nobody asked for. Does not wait."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)  # the end, or an answer to nothing
        except (BlockingIOError, ssl.SSLWantReadError):
            return not self._reader.has_data()
        except OSError:
            pass
        return False

    def exchange(self, commands: Sequence[bytes], until: float) -> list[Any]:
        """Send commands and return their answers. Raises Away, InDoubt; is of no use after that."""
        data = memoryview(b"".join(commands))
        sent = 0
        try:
            while sent < len(data):
                self._wait_until(until)
                sent += self._socket.send(data[sent:])
            return [self._answer(until) for _ in commands]
        except (OSError, hiredis.ProtocolError) as error:
            if sent == 0 and (said := self._said()) is not None:
                raise Away(said.text, said) from None
            # What the kernel did not take, the engine never gets: it cannot execute half a command.
            kind = InDoubt if commands and sent >= len(commands[0]) else Away
            raise kind(_reason(error)) from None

    def say(self, command: bytes, until: float) -> None:
        """Send a command whose answer is heard later. Raises Away; is of no use after that."""
        try:
            self._wait_until(until)
            self._socket.sendall(command)
        except OSError as error:
            raise Away(_reason(error)) from None

    def heard(self, until: float) -> Any:
        """Return the next answer, or what else the engine says; None: nothing until then.

        Raises Away; is of no use after that.
        """
        try:
            return self._answer(until)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return None
        except (OSError, hiredis.ProtocolError) as error:
            raise Away(_reason(error)) from None

    def close(self) -> None:
        """Close it. Does not wait."""
        with suppress(OSError):
            self._socket.close()

    def _answer(self, until: float) -> Any:
        unbroken = 0
        while (answer := self._reader.gets()) is _INCOMPLETE:
            self._wait_until(until)
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError(0, "the connection was closed")
            self._reader.feed(data)
            unbroken += len(data)
            if unbroken > _UNBROKEN_BYTES:  # what is there already is read without a switch
                unbroken = 0
                sleep(0)
        return answer

    def _said(self) -> Rejected | None:
        """Return the error that it said before it ended the connection. Does not wait."""
        self._socket.settimeout(0)
        with suppress(OSError, hiredis.ProtocolError):
            self._reader.feed(self._socket.recv(_READ_BYTES))
            answer = self._reader.gets()
            return answer if isinstance(answer, Rejected) else None
        return None

    def _wait_until(self, until: float) -> None:
        """Let the next step on the socket wait until then; what is there by then is not late."""
        self._socket.settimeout(max(until - monotonic(), 0))


def connected(where: Where, name: str, until: float) -> Line:
    """Connect and say who this is. Waits without a limit for names. Raises Away."""
    address = where.hosts[0] if where.hosts else None
    if where.service is not None:
        address = _primary(where, until)
    line = _opened(where, address)
    try:
        _introduce(line, where, name, until)
    except BaseException:
        line.close()
        raise
    return line


def _introduce(line: Line, where: Where, name: str, until: float) -> None:
    hello: list[Sequence[Part]] = [*_login(where)]
    if where.database:
        hello.append(("SELECT", where.database))
    hello.append(("CLIENT", "SETNAME", name))
    try:
        answers = line.exchange([packed(each) for each in hello], until)
    except InDoubt as error:
        raise Away(error.text) from None
    for answer in answers:
        if isinstance(answer, Rejected):
            # An engine that does not know AUTH says what it was sent.
            text = answer.text.replace(where.password or "\0", "***")
            raise Away(text, Rejected(text))


def _login(where: Where) -> list[Sequence[Part]]:
    if where.password is None:
        return []
    user = [where.user] if where.user is not None else []
    return [("AUTH", *user, where.password)]


def _primary(where: Where, until: float) -> Address:
    """Ask the Sentinels where the primary is. Raises Away."""
    reasons = []
    for address in where.hosts:
        end = min(until, monotonic() + _SENTINEL_SECONDS)
        with Timeout(max(end - monotonic(), 0.001)) as limit:
            try:
                found = _ask_sentinel(where, address, end)
            except Timeout as expired:
                if expired is not limit:
                    raise
                reasons.append(f"{address[0]}: no answer in time")
                continue
            except EngineError as error:
                reasons.append(f"{address[0]}: {error.text}")
                continue
        if found is not None:
            return found
        reasons.append(f"{address[0]}: it knows no {where.service}")
    raise Away(f"no Sentinel named the primary ({'; '.join(reasons)})")


def _ask_sentinel(where: Where, address: Address, until: float) -> Address | None:
    line = _opened(where, address)
    try:
        question = [packed(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", cast(str, where.service)))]
        (answer,) = line.exchange(question, until)
        login = _login(where)
        if isinstance(answer, Rejected) and answer.code == "NOAUTH" and login:
            _, answer = line.exchange([packed(login[0]), *question], until)
        if isinstance(answer, Rejected):
            raise answer
        return (answer[0].decode(), int(answer[1])) if answer else None
    finally:
        line.close()


def _opened(where: Where, address: Address | None) -> Line:
    """Open a connection. Raises Away."""
    family = socket.AF_UNIX if address is None else socket.AF_INET
    sock = None
    try:
        if address is None:
            sock = socket.socket(family)
            sock.connect(cast(str, where.path))
        else:
            sock = socket.create_connection(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if where.tls:
                # In two steps: if a single one were interrupted, the socket would stay open.
                sock = _tls(where).wrap_socket(
                    sock, server_hostname=address[0], do_handshake_on_connect=False
                )
                sock.do_handshake()
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise Away(_reason(error)) from None
        raise
    return Line(sock)


def _tls(where: Where) -> SSLContext:
    """Return what trusts and shows the files as they are now. Raises OSError."""
    files = (where.ca, where.cert, where.key)
    changed = tuple(os.stat(file).st_mtime_ns for file in files if file is not None)
    return _tls_context(*files, changed)


@lru_cache(maxsize=1)  # the system's authorities take 40 ms
def _tls_context(
    ca: str | None, cert: str | None, key: str | None, changed: tuple[int, ...]
) -> SSLContext:
    del changed
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks the certificate and its host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None:
        context.load_default_certs()
    else:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # or trust its own
        context.load_verify_locations(ca)
    if cert is not None:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    return context


def _no_passphrase() -> str:
    raise OSError("the key has a passphrase, which is not supported")


def packed(command: Sequence[Part]) -> bytes:
    """Return a command as it is sent."""
    parts = tuple(part() if callable(part) else part for part in command)
    return cast(bytes, hiredis.pack_command(cast(Any, parts)))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError | BlockingIOError | ssl.SSLWantReadError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

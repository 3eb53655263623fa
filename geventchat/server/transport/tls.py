"""The stream that is encrypted with TLS, and the certificate that the server shows.

The encryption is done apart from the socket, in memory: so the socket is tried and waited for as
on any other stream, and what it did not take is known to the byte.
"""

import errno
import os
import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import gevent
from gevent import socket as gevent_socket
from gevent.ssl import SSLContext

from geventchat.config import BadSetting
from geventchat.protocol import frames
from geventchat.server.transport.base import SilentClient
from geventchat.server.transport.tcp import READ_BYTES, TcpStream

_RECORD_BYTES: Final = 16 << 10
"""What one record of TLS holds at most."""
_ASIDE_BYTES: Final = 64 << 10
"""Bytes that a client may send in a row without data, more than an incomplete record has; and the
bytes that TLS may answer it in all: enough for 2,400 key changes, which last millions of records.
"""
_HANDSHAKE: Final = b"\x16"
_PROXY_HEADER: Final = "it sent a header of the PROXY protocol"
_OUT_OF_TIME: Final = (9, 10)
"""OpenSSL's codes for a certificate that is not yet valid, or has expired."""
_MISMATCH: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's reasons for another key; the last one: it is of another kind, such as EC for RSA."""
_OTHER_KEY: Final = "is not the key of that certificate, which has to be the first one in its file"


class TlsStream(TcpStream):
    """A socket that speaks TLS, which it takes over. See `Stream`."""

    __slots__ = (
        "_answered", "_head", "_inward", "_outward", "_sealed", "_tls", "_unsent", "_vain",
        "ended",
    )  # fmt: skip

    def __init__(self, sock: gevent_socket.socket, context: SSLContext) -> None:
        super().__init__(sock)
        self._inward, self._outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._inward, self._outward, server_side=True)
        self._head = b""
        """The first bytes, until the handshake is complete."""
        self._sealed = 0
        """Bytes offered and encrypted whose record is not sent completely."""
        self._unsent = b""
        self._vain = 0
        """Bytes received since the last data."""
        self._answered = 0
        """Bytes of TLS's own handlers."""
        self.ended = False

    def open(self, misplaced: Callable[[bytes], bytes]) -> None:
        try:
            self._shake_hands()
        except OSError as error:
            if not self._head and not isinstance(error, TimeoutError):
                raise SilentClient(str(error)) from None
            if not self._head.startswith(_HANDSHAKE):
                with suppress(OSError):  # in the clear; it may not have waited for that
                    super().try_send(misplaced(self._head))
            if isinstance(error, ssl.SSLError) and error.reason:
                raise ConnectionError(error.reason.lower().replace("_", " ")) from None
            raise
        self._head = b""

    @property
    def offer(self) -> Callable[[bytes | memoryview], int]:
        return self.try_send

    def try_send(self, data: bytes | memoryview) -> int:
        offered, taken = memoryview(data), 0
        while taken < len(offered):
            if not self._sealed:
                self._sealed = self._tls.write(offered[taken : taken + _RECORD_BYTES])
            if not self._push():
                break  # what is sealed is offered again first, unchanged: so is the order kept
            taken += self._sealed
            self._sealed = 0
        return taken

    def unread(self) -> int:
        return super().unread() + self._inward.pending + self._tls.pending()

    def close(self, seconds: float) -> None:
        with suppress(OSError):  # it says that the other side has not said the same yet
            self._tls.unwrap()
        with suppress(OSError):
            self._push()
        super().close(seconds)

    def recv(self) -> bytes:
        data = self._decrypted()
        if data or self.ended:
            return data
        encrypted = self._sock.recv(READ_BYTES)
        if not encrypted:
            return b""
        self._inward.write(encrypted)
        data = self._decrypted()
        self._vain = 0 if data else self._vain + len(encrypted)
        if max(self._vain, self._answered) > _ASIDE_BYTES:
            raise ConnectionError("too much TLS control traffic without data")
        if not data and not self.ended:
            raise BlockingIOError  # one read takes more than a record, so no whole one was there
        return data

    def _decrypted(self) -> bytes:
        """Decrypt all that has arrived so far."""
        parts = []
        try:
            while part := self._tls.read(READ_BYTES):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        finally:
            self._answered += self._outward.pending
            self._push()  # TLS's own answers, or the alert that ends it
        return b"".join(parts)

    def _push(self) -> bool:
        """Send as much encrypted data as the socket takes; return whether that was all."""
        if self._outward.pending:
            self._unsent += self._outward.read()
        while self._unsent:
            taken = super().try_send(self._unsent)
            if not taken:
                return False
            self._unsent = self._unsent[taken:]
        return True

    def _shake_hands(self) -> None:
        hub, writable = gevent.get_hub(), self._writable()
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    done = False
                finally:
                    pushed = self._push()
                while not pushed:
                    hub.wait(writable)
                    pushed = self._push()
                if done:
                    return
                hub.wait(self.readable)
                with suppress(BlockingIOError):
                    data = self._sock.recv(READ_BYTES)
                    if not data:
                        raise ConnectionError("it hung up")
                    self._head = self._head or data
                    if not self._head.startswith(_HANDSHAKE):
                        proxy = frames.stranger(self._head) == "proxy"
                        raise ConnectionError(_PROXY_HEADER if proxy else "it does not speak TLS")
                    self._inward.write(data)
        finally:
            writable.close()


class Certificate(NamedTuple):
    """The certificate that the server shows."""

    context: SSLContext
    expires: float
    """The time, as of `time.time`, after which no client accepts it."""


def load(cert: str | None, key: str | None) -> Certificate | None:
    """Load the certificate of a server; None: it has none and does not speak TLS.

    The key may be in the certificate's file. Raises BadSetting for files that cannot be used. Reads
    files before it returns.
    """
    if cert is None:
        if key is not None:
            raise BadSetting("tls_key", key, "requires --tls-cert")
        return None
    setting, file = ("tls_cert", cert) if key is None else ("tls_key", key)
    _check_file(setting, file)
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        believer = _believer(cert)
    except (OSError, ValueError) as error:
        raise _refused("tls_cert", cert, error, "holds no certificate") from None
    try:
        context.load_cert_chain(cert, key, _passphrase)
    except (OSError, ValueError) as error:
        raise _refused(setting, file, error, "holds no key") from None
    try:
        expires = _shake_hands(context, believer)
    except ssl.SSLCertVerificationError as error:
        # It may be renewed, and a clock may be wrong until it is set after a start.
        temporary = error.verify_code in _OUT_OF_TIME
        raise BadSetting("tls_cert", cert, error.verify_message, temporary=temporary) from None
    return Certificate(context, expires)


def _check_file(setting: str, file: str) -> None:
    try:
        mode = os.stat(file).st_mode
    except OSError as error:
        raise BadSetting.of(setting, file, error) from None
    if stat.S_ISDIR(mode):
        raise BadSetting(setting, file, os.strerror(errno.EISDIR))


def _refused(setting: str, file: str, error: Exception, nothing_there: str) -> BadSetting:
    if isinstance(error, ssl.SSLError):
        return BadSetting(setting, file, _OTHER_KEY if error.reason in _MISMATCH else nothing_there)
    if isinstance(error, OSError):
        return BadSetting.of(setting, file, error)
    return BadSetting(setting, file, str(error))


def _passphrase() -> str:
    raise ValueError("is passphrase-protected, which is not supported")


def _believer(cert: str) -> SSLContext:
    """Make the context of a client that trusts this certificate."""
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cert)
    return context


def _shake_hands(server: SSLContext, client: SSLContext) -> float:
    """Shake hands in memory, and return when the certificate expires.

    Raises SSLCertVerificationError, for example if it has expired.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    shown = ends[0].getpeercert() or {}
    return ssl.cert_time_to_seconds(str(shown["notAfter"]))

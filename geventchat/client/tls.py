"""A client's socket, over TCP or TLS."""

import ssl
from pathlib import Path
from typing import Final

from gevent import socket
from gevent.ssl import SSLContext

from geventchat.client import tcp
from geventchat.protocol.text import UTF_16, is_utf16

CONNECT_SECONDS: Final = 10
_PLAIN: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "SSLV3_ALERT_UNEXPECTED_MESSAGE")
"""OpenSSL's errors when the server does not speak TLS."""


def tls_context(ca: str | None = None) -> SSLContext:
    """Return a context that trusts the system's authorities, or only the certificates in a file.

    Raises OSError if the file cannot be read.
    """
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks the certificate and its host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None:
        context.load_default_certs()
        return context
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # or trust its own
    try:
        data = Path(ca).read_bytes()
    except OSError as error:
        raise OSError(f"{ca}: {error.strerror}") from None
    if is_utf16(data):
        raise OSError(f"{ca} {UTF_16}")
    try:
        # Certificates are ASCII; a byte order mark and what is written about them is not.
        context.load_verify_locations(cadata=data.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        raise OSError(f"{ca} contains no certificate") from None
    return context


def connect(host: str, port: int, tls: SSLContext | None) -> socket.socket:
    """Return a connected socket, after the TLS handshake if any, for up to 10 s each.

    Verifies that the certificate is valid for the host. Raises OSError, and TypeError for a context
    whose sockets would wait without the hub, and so without a limit.
    """
    if tls is not None and not isinstance(tls, SSLContext):
        raise TypeError("tls must be True, or made by tls_context or by gevent.ssl")
    plain = tcp.connect(host, port, CONNECT_SECONDS)
    plain.settimeout(CONNECT_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return plain
    secured = plain
    try:
        # In two steps: if a single one were interrupted, the socket would stay open.
        secured = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        secured.do_handshake()
        return secured
    except ssl.SSLCertVerificationError as error:
        why = f"the server's certificate is not trusted: {error.verify_message}"
    except ssl.SSLEOFError:
        why = "the server closed the connection during the TLS handshake"
    except ssl.SSLError as error:
        why = (
            "the server does not speak TLS"
            if error.reason in _PLAIN
            else f"TLS failed: {error.reason}"
        )
    except BaseException:
        secured.close()
        raise
    secured.close()
    raise ConnectionError(why)


def end_sending(sock: socket.socket) -> None:
    """Half-close: signal the end of data, and keep receiving. Raises OSError."""
    # SSLSocket.shutdown would drop the TLS session and receive nothing more.
    socket.socket.shutdown(sock, socket.SHUT_WR)

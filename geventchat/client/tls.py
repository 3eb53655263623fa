"""A client's socket, and whom it trusts if it speaks TLS."""

import ssl
from typing import Final

from gevent import socket
from gevent.ssl import SSLContext

CONNECT_SECONDS: Final = 10
_PLAIN: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "SSLV3_ALERT_UNEXPECTED_MESSAGE")
"""How OpenSSL calls what comes from a server that does not speak TLS."""


def tls_context(ca: str | None = None) -> SSLContext:
    """Give what trusts whom the system trusts, or only the certificates in a file.

    Raises OSError if they cannot be read from it.
    """
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks the certificate and its host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None:
        context.load_default_certs()
        return context
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the server's own may be the one
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise OSError(f"{ca} holds no certificate") from None
    except OSError as error:
        raise OSError(f"{ca}: {error.strerror}") from None
    return context


def connect(host: str, port: int, tls: SSLContext | None) -> socket.socket:
    """Give a socket that is connected, and has shaken hands, for up to 10 s each. Raises OSError.

    A name or address that is not in the certificate of the other side is an error too.
    """
    plain = socket.create_connection((host, port), CONNECT_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return plain
    secured = plain
    try:
        # In two steps, for one that is interrupted in a single one would leave its socket open.
        secured = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        secured.do_handshake()
        return secured
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted: {error.verify_message}"
    except ssl.SSLEOFError:
        why = "it hung up when it was asked to speak TLS"
    except ssl.SSLError as error:
        why = "it does not speak TLS" if error.reason in _PLAIN else f"TLS failed: {error.reason}"
    except BaseException:
        secured.close()
        raise
    secured.close()
    raise ConnectionError(why)


def end_sending(sock: socket.socket) -> None:
    """Let the other side know that nothing follows, and go on to hear it. Raises OSError."""
    # A TLS socket of Python's would forget its keys, and hear nothing more.
    socket.socket.shutdown(sock, socket.SHUT_WR)

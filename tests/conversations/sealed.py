"""Clients that encrypt TLS records themselves, since Python's `ssl` never sends such records.

The keys come from its key log. The sockets are native: these clients run in threads.
"""

import hmac
import socket
import ssl
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.conversations.peers import SECONDS

_DATA: Final = b"\x17"
_HANDSHAKE: Final = b"\x16"
_CLIENT_HELLOS: Final = b"\x01\0\0\0" * 4_000
"""Type and length; the server rejects them before it reads further."""
_KEY_UPDATE: Final = b"\x18\0\0\x01\0"
"""A key update that requests none in return."""

_SECRETS: Final = "CLIENT_RANDOM ", "CLIENT_TRAFFIC_SECRET_0 "
"""Start of the key log lines with the secrets of TLS 1.2 and 1.3."""


def restart_handshakes(address: tuple[str, int], folder: Path, *, data: bytes) -> None:
    """Start a handshake 256,000 times, with data records in between; then read to the end. Waits.

    RFC 5246: PRF in 5, keys in 6.3, records in 6.2.3.3.
    """
    sock, heard, client_random, secret = _connect(address, folder, ssl.TLSVersion.TLSv1_2)
    seed = b"key expansion" + heard[11:43] + client_random
    keys, link = b"", seed
    while len(keys) < 40:
        link = hmac.digest(secret, link, "sha256")
        keys += hmac.digest(secret, link + seed, "sha256")
    cipher, salt, numbers = AESGCM(keys[:16]), keys[32:36], count(1)

    def encrypt(kind: bytes, content: bytes) -> bytes:
        number = next(numbers).to_bytes(8)
        head = kind + b"\x03\x03"
        extra = number + head + len(content).to_bytes(2)
        secret = number + cipher.encrypt(salt + number, content, extra)
        return head + len(secret).to_bytes(2) + secret

    records = b""
    for _ in range(64):
        records += encrypt(_HANDSHAKE, _CLIENT_HELLOS)
        if data:
            records += encrypt(_DATA, data)
    _say(sock, records)


def update_keys(address: tuple[str, int], folder: Path) -> None:
    """Send 10,000 key updates that request none in return; then read to the end. Waits.

    RFC 8446: keys in 7.1 to 7.3, records in 5.2.
    """
    sock, _, _, secret = _connect(address, folder, ssl.TLSVersion.TLSv1_3)

    def derive(label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        info = size.to_bytes(2) + len(label).to_bytes(1) + label + b"\0"
        return HKDFExpand(SHA384(), size, info).derive(secret)

    content = _KEY_UPDATE + _HANDSHAKE
    head = _DATA + b"\x03\x03" + (len(content) + 16).to_bytes(2)
    records = b""
    for _ in range(10_000):
        records += head + AESGCM(derive(b"key", 32)).encrypt(derive(b"iv", 12), content, head)
        secret = derive(b"traffic upd", 48)
    _say(sock, records)


def _connect(
    address: tuple[str, int], folder: Path, version: ssl.TLSVersion
) -> tuple[socket.socket, bytes, bytes, bytes]:
    """Complete a handshake; return the connection, data received, client random and secret."""
    log = folder / "keys"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    context.keylog_filename = str(log)
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(inward, outward)
    sock = socket.create_connection(address, SECONDS)
    heard = b""
    while True:
        try:
            end.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outward.read())
            piece = sock.recv(65_536)
            inward.write(piece)
            heard += piece
    sock.sendall(outward.read())
    lines = log.read_text().splitlines()
    line = next(line for line in lines if line.startswith(_SECRETS))
    client_random, secret = map(bytes.fromhex, line.split()[1:])
    return sock, heard, client_random, secret


def _say(sock: socket.socket, records: bytes) -> None:
    """Send records and read to the end. Raises TimeoutError if there is none."""
    with sock, suppress(ConnectionError):
        sock.sendall(records)
        while sock.recv(65_536):
            pass

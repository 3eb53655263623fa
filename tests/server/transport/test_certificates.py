"""Certificates and keys are checked before the server listens."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from geventchat.config import BadOption
from geventchat.server.transport import tls

CA = trustme.CA()
CERT = CA.issue_cert("localhost")
OTHER = CA.issue_cert("localhost")
OLD = CA.issue_cert("localhost", not_after=datetime(2001, 1, 1, tzinfo=UTC))


def written(folder: Path, name: str, *parts: trustme.Blob, mode: int = 0o600) -> str:
    file = folder / name
    file.touch(mode)
    file.write_bytes(b"".join(part.bytes() for part in parts))
    return str(file)


def test_certificate_and_key_are_in_one_file_or_in_two(tmp_path: Path) -> None:
    both = written(tmp_path, "both", CERT.private_key_pem, *CERT.cert_chain_pems)
    cert = written(tmp_path, "cert", *CERT.cert_chain_pems, mode=0o644)
    key = written(tmp_path, "key", CERT.private_key_pem)
    assert tls.load(both, None) is not None
    assert tls.load(cert, key) is not None
    assert tls.load(None, None) is None


def test_unusable_certificates_and_keys_are_named(tmp_path: Path) -> None:
    cert = written(tmp_path, "cert", *CERT.cert_chain_pems)
    key = written(tmp_path, "key", CERT.private_key_pem)
    other = written(tmp_path, "other", OTHER.private_key_pem)
    old = written(tmp_path, "old", *OLD.cert_chain_pems)
    old_key = written(tmp_path, "old_key", OLD.private_key_pem)
    known = written(tmp_path, "known", CERT.private_key_pem, mode=0o644)
    empty = written(tmp_path, "empty")
    none = str(tmp_path / "none")
    for given, complaint in {
        (None, key): f"--tls-key {key}: requires --tls-cert",
        (none, None): f"--tls-cert {none}: No such file or directory",
        (none, key): f"--tls-cert {none}: No such file or directory",
        (cert, none): f"--tls-key {none}: No such file or directory",
        (cert, other): f"--tls-key {other}: is not the key of that certificate",
        (cert, None): f"--tls-cert {cert}: holds no key",
        (cert, empty): f"--tls-key {empty}: holds no key",
        (empty, key): f"--tls-cert {empty}: holds no certificate",
        (key, key): f"--tls-cert {key}: holds no certificate",
        (cert, known): f"--tls-key {known}: holds a key that others on this machine can read",
        (old, old_key): f"--tls-cert {old}: certificate has expired",
    }.items():
        with pytest.raises(BadOption) as caught:
            tls.load(*given)
        assert str(caught.value) == complaint


def test_a_key_with_a_passphrase_is_refused_without_asking(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(CERT.private_key_pem.bytes(), None)
    kept = form.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, kept)
    locked = written(tmp_path, "locked", trustme.Blob(pem))
    cert = written(tmp_path, "cert", *CERT.cert_chain_pems)
    with pytest.raises(BadOption, match="is passphrase-protected"):
        tls.load(cert, locked)

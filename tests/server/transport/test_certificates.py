"""Certificates and keys are checked before the server listens."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from geventchat.config import BadOption
from geventchat.server.transport import tls

CA = trustme.CA()
CURVE = CA.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
RSA = trustme.KeyType.RSA
CERT, OTHER = (CA.issue_cert("localhost", key_type=RSA) for _ in range(2))
CHAIN = CA.create_child_ca().issue_cert("localhost")
EARLY = CA.issue_cert(
    "localhost",
    not_before=datetime(2101, 1, 1, tzinfo=UTC),
    not_after=datetime(2102, 1, 1, tzinfo=UTC),
)
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


def test_a_certificate_says_when_it_expires(tmp_path: Path) -> None:
    end = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    cert = CA.issue_cert("localhost", not_after=end)
    loaded = tls.load(written(tmp_path, "cert", cert.private_key_and_cert_chain_pem), None)
    assert loaded is not None
    assert loaded.expires == end.timestamp()


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o640, 0o400])
def test_a_key_may_have_the_mode_that_a_container_gives_it(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path, "both", CERT.private_key_and_cert_chain_pem)
    Path(file).chmod(mode)
    assert tls.load(file, None) is not None


def test_unusable_certificates_and_keys_are_named(tmp_path: Path) -> None:
    cert = written(tmp_path, "cert", *CERT.cert_chain_pems)
    key = written(tmp_path, "key", CERT.private_key_pem)
    other = written(tmp_path, "other", OTHER.private_key_pem)
    old = written(tmp_path, "old", *OLD.cert_chain_pems)
    old_key = written(tmp_path, "old_key", OLD.private_key_pem)
    curve = written(tmp_path, "curve", *CURVE.cert_chain_pems)
    curve_key = written(tmp_path, "curve_key", CURVE.private_key_pem)
    turned = written(tmp_path, "turned", *reversed(CHAIN.cert_chain_pems))
    turned_key = written(tmp_path, "turned_key", CHAIN.private_key_pem)
    wrong = "is not the key of that certificate, which has to be the first one in its file"
    early = written(tmp_path, "early", *EARLY.cert_chain_pems)
    early_key = written(tmp_path, "early_key", EARLY.private_key_pem)
    empty = written(tmp_path, "empty")
    none = str(tmp_path / "none")
    for given, complaint in {
        (None, key): f"--tls-key {key}: requires --tls-cert",
        (none, None): f"--tls-cert {none}: No such file or directory",
        (none, key): f"--tls-cert {none}: No such file or directory",
        (cert, none): f"--tls-key {none}: No such file or directory",
        (cert, other): f"--tls-key {other}: {wrong}",
        (curve, key): f"--tls-key {key}: {wrong}",
        (cert, curve_key): f"--tls-key {curve_key}: {wrong}",
        (turned, turned_key): f"--tls-key {turned_key}: {wrong}",
        (cert, None): f"--tls-cert {cert}: holds no key",
        (cert, empty): f"--tls-key {empty}: holds no key",
        (empty, key): f"--tls-cert {empty}: holds no certificate",
        (key, key): f"--tls-cert {key}: holds no certificate",
        (old, old_key): f"--tls-cert {old}: certificate has expired",
        (early, early_key): f"--tls-cert {early}: certificate is not yet valid",
    }.items():
        with pytest.raises(BadOption) as caught:
            tls.load(*given)
        assert str(caught.value) == complaint
        assert caught.value.temporary is (given[0] in (old, early))


def test_a_key_with_a_passphrase_is_refused_without_asking(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(CERT.private_key_pem.bytes(), None)
    kept = form.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, kept)
    locked = written(tmp_path, "locked", trustme.Blob(pem))
    cert = written(tmp_path, "cert", *CERT.cert_chain_pems)
    with pytest.raises(BadOption, match="is passphrase-protected"):
        tls.load(cert, locked)

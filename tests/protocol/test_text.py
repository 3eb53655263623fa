"""Text from files and pipes."""

from pathlib import Path

import pytest

from geventchat.client import tls_context
from geventchat.config import BadOption, secrets
from geventchat.config.file import from_file
from geventchat.protocol.text import decode, is_utf16
from tests.conversations.certificates import Authority


def test_a_byte_order_mark_is_no_text() -> None:
    assert decode(b"\xef\xbb\xbfsecret\n") == "secret\n"
    assert decode(b"plain") == "plain"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["hi\n", "hi", "日本\n", "Łódź é\nnext\n", "x" * 5_000])
def test_utf_16_is_recognised_with_and_without_its_mark(encoding: str, text: str) -> None:
    with pytest.raises(ValueError, match="is UTF-16"):
        decode(text.encode(encoding))


@pytest.mark.parametrize(
    "data", [b"", b"a", b"\0", b"a\0b\n", b"ab\n\0cd\n", b"ab\0", "日本\0\n".encode(), b"\xff\n"]
)
def test_nothing_else_is_taken_for_utf_16(data: bytes) -> None:
    assert not is_utf16(data)


def test_what_is_no_utf_8_is_named() -> None:
    with pytest.raises(ValueError, match="is not UTF-8"):
        decode(b"caf\xe9")


def test_secrets_settings_and_certificates_may_begin_with_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes("horse\r\n".encode("utf-8-sig"))
    assert secrets.read("password_file", str(file)) == "horse"
    file.write_bytes("port = 5050\r\n".encode("utf-8-sig"))
    assert from_file(file)["port"] == 5050
    certificate = Path(Authority(tmp_path).ca).read_text()
    file.write_bytes(f"# Autoridad Raíz\n{certificate}".encode("utf-8-sig"))
    assert len(tls_context(str(file)).get_ca_certs()) == 1


def test_secrets_settings_and_certificates_in_utf_16_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes("port = 5050\r\n".encode("utf-16"))
    with pytest.raises(BadOption, match=r"--password-file .*file: is UTF-16; save it as UTF-8"):
        secrets.read("password_file", str(file))
    with pytest.raises(BadOption, match=r"--config .*file: is UTF-16; save it as UTF-8"):
        from_file(file)
    with pytest.raises(OSError, match=r"file is UTF-16; save it as UTF-8"):
        tls_context(str(file))

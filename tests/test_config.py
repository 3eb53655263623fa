import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.config import BadOption, Config, Limits, checks
from geventchat.config.file import checked, from_file
from geventchat.config.file import written as as_file


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "chat.toml"
    path.write_text(text, "utf-8")
    return path


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(BadOption) as caught:
        from_file(written(tmp_path, text))
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_file_sets_the_fields_of_the_same_names(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        host = "::"
        port = 0
        timeline = "memory:"
        trust = ["10.0.0.0/8", "192.0.2.7"]
        log_format = "json"
        echo = true
        password = "two words"
        operator_file = "operator"
        [limits]
        frame_bytes = 5000
        """,
    )

    assert Config.of(from_file(path)) == Config(
        host="::",
        port=0,
        timeline="memory:",
        trust=("10.0.0.0/8", "192.0.2.7/32"),
        log_format="json",
        echo=True,
        password="two words",
        operator_file="operator",
        limits=Limits(frame_bytes=5000),
    )


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert Config.of(from_file(written(tmp_path, ""))) == Config()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prot = 1", "prot 1: is not a setting, did you mean port?"),
        ("log-format = 'json'", 'log-format "json": is not a setting, did you mean log_format?'),
        ("zzz = 1", "zzz 1: is not a setting"),
        ("rooms = 1", "rooms 1: is not a setting, did you mean limits.rooms?"),
        ("limits.prot = 1", "limits.prot 1: is not a setting, did you mean port, above [limits]?"),
        ("[limit]\nrooms = 1", 'limit {"rooms": 1}: is not a setting, did you mean [limits]?'),
        ('host = "a\\u0000b"', 'host "a\\u0000b": holds U+0000, which no name can'),
        (
            "limits.frame_byte = 1",
            "limits.frame_byte 1: is not a setting, did you mean frame_bytes?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_a_suggestion(tmp_path: Path, text: str, line: str) -> None:
    assert complaint(tmp_path, text) == f"chat.toml: {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('port = "4040"', 'port "4040": is not a whole number'),
        ("port = true", "port true: is not a whole number"),
        ("port = 99999", "port 99999: is not in the range 0 to 65535"),
        ("host = 1", "host 1: is not a host name or address"),
        ('host = ""', 'host "": is not a host name or address'),
        ('host = "a..b"', 'host "a..b": is not a host name or address'),
        (f'host = "{"x" * 64}"', f'host "{"x" * 64}": is not a host name or address'),
        ('admin = "a..b:1"', 'admin "a..b:1": is not a host name or address'),
        ('admin = "127.0.0.1"', 'admin "127.0.0.1": is neither HOST:PORT nor none'),
        ('admin = "127.0.0.1:65536"', 'admin "127.0.0.1:65536": is neither HOST:PORT nor none'),
        ("port = -1", "port -1: is not in the range 0 to 65535"),
        ("port = 4040.0", "port 4040.0: is not a whole number"),
        ("port = inf", "port Infinity: is not a whole number"),
        ("port = nan", "port NaN: is not a whole number"),
        ("port = 2026-01-01", 'port "2026-01-01": is not a whole number'),
        ("drain_seconds = 601", "drain_seconds 601: is not in the range 1 to 600"),
        ("tls_cert = true", "tls_cert true: is not the path of a file"),
        ("echo = 1", "echo 1: is neither true nor false"),
        ('echo = "on"', 'echo "on": is neither true nor false'),
        ('trust = "::1"', 'trust "::1": is not a list of networks'),
        (
            'trust = ["::1", "home"]',
            'trust ["::1", "home"]: home is not a network such as 10.0.0.0/8',
        ),
        (
            'timeline = "sqlite:"',
            'timeline "sqlite:": is none of sqlite:PATH, redis://HOST and memory:',
        ),
        (
            'timeline = "sqlite::memory:"',
            'timeline "sqlite::memory:": is none of sqlite:PATH, redis://HOST and memory:',
        ),
        ('trust = [""]', 'trust [""]: an empty text is not a network such as 10.0.0.0/8'),
        ("trust = [1]", "trust [1]: 1 is not a network such as 10.0.0.0/8"),
        ("limits = [3]", "limits [3]: is not a table"),
        ("limits.rooms = -1", "limits.rooms -1: is less than 1"),
        ("limits.rooms = inf", "limits.rooms Infinity: is not a whole number"),
        ("limits.history_bytes = 1", "limits.history_bytes 1: is less than 1048576"),
        (
            "limits.frame_bytes = 131_073",
            "limits.frame_bytes 131073: is not in the range 4096 to 131072",
        ),
        ("limits.frame_bytes = 10", "limits.frame_bytes 10: is not in the range 4096 to 131072"),
        (
            'timeline = "memory"',
            'timeline "memory": is none of sqlite:PATH, redis://HOST and memory:',
        ),
        ('log_format = "xml"', 'log_format "xml": is neither text nor json'),
        ('password = ""', "password given: is not one line of 1 to 1,024 characters"),
        ('password = "a\\nb"', "password given: is not one line of 1 to 1,024 characters"),
        ('password_file = ""', 'password_file "": is not the path of a file'),
        ("operator_file = 1", "operator_file 1: is not the path of a file"),
        ("limits = 3", "limits 3: is not a table"),
        ("limits.rooms = 0", "limits.rooms 0: is less than 1"),
        ("limits.rooms = 1.5", "limits.rooms 1.5: is not a whole number"),
        ("limits.ping_seconds = 19", "limits.ping_seconds 19: is less than 20"),
    ],
)
def test_a_wrong_value_is_one_line_with_file_and_key(tmp_path: Path, text: str, line: str) -> None:
    assert complaint(tmp_path, text) == f"chat.toml: {line}"


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    assert complaint(tmp_path, "port 4040").startswith("--config chat.toml: is not TOML: ")
    assert "line 1" in complaint(tmp_path, "port 4040")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("port = 1\nport = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 9)"),
        ("\x7fELF", "is not TOML: Invalid statement (at line 1, column 1)"),
        (f"port = {'9' * 5_000}", "holds a number too long, or lists too deep, to be read"),
        (f"port = {'[' * 50_000}", "holds a number too long, or lists too deep, to be read"),
    ],
    ids=["a key twice", "a program", "a number without end", "a list without end"],
)
def test_a_file_that_cannot_be_read_as_settings_is_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    assert complaint(tmp_path, text) == f"--config chat.toml: {reason}"


def test_the_error_about_an_unreadable_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--config .*none.toml: No such file or directory"):
        from_file(tmp_path / "none.toml")

    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(BadOption, match=r"--config .*bytes.toml: is not UTF-8"):
        from_file(tmp_path / "bytes.toml")


def test_an_option_is_named_as_the_user_gave_it() -> None:
    with pytest.raises(BadOption, match=r"^GEVENTCHAT_PORT abc: is not a whole number$"):
        checked("GEVENTCHAT_PORT", "port", "abc")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Config(password="secret"))
    with pytest.raises(BadOption) as caught:
        checked("--password", "password", "secret\n")
    assert str(caught.value) == "--password given: is not one line of 1 to 1,024 characters"


@pytest.mark.parametrize("name", [f"{'a' * 40}.example:443", f"{'a' * 40}!", f"{'a.' * 40}-"])
def test_a_long_name_that_is_none_is_refused_at_once(name: str) -> None:
    with pytest.raises(BadOption, match="is not a name such as"):
        checked("--web-host", "web_host", [name])


@pytest.mark.parametrize("name", ["chat", "chat.example.org", "my_chat-1.example", "a" * 63])
def test_a_name_of_the_page_is_one_that_dns_or_a_container_network_has(name: str) -> None:
    assert checked("--web-host", "web_host", [name]) == (name,)


def is_host(text: str) -> bool:
    """Whether each part of the name could be looked up."""
    try:
        return checks.host(text) == text
    except ValueError:
        return False


@given(
    host=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(is_host),
    trust=st.lists(st.ip_addresses().map(lambda ip: f"{ip}/{ip.max_prefixlen}")),
    echo=st.sampled_from([None, True, False]),
    frame_bytes=st.integers(4 << 10, 128 << 10),
    source=st.text(),
)
def test_a_written_config_reads_back_the_same(
    host: str, trust: list[str], echo: bool | None, frame_bytes: int, source: str
) -> None:
    limits = Limits(frame_bytes=frame_bytes, outbox_bytes=frame_bytes)
    config = Config(host=host, trust=tuple(trust), echo=echo, limits=limits)
    sources = {"host": source, "limits.frame_bytes": source}

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), as_file(config, sources))
        assert Config.of(from_file(path)) == config


def test_a_written_config_has_the_unit_and_the_source_of_each_setting() -> None:
    config = Config(port=1, limits=Limits(frame_bytes=5000))
    lines = as_file(config, {"port": "--port", "limits.frame_bytes": "chat.toml"}).splitlines()

    assert 'host = "127.0.0.1"  # default' in lines
    assert "port = 1  # --port" in lines
    assert "frame_bytes = 5000  # bytes, chat.toml" in lines
    assert '# password_file = ""  # not set' in lines


def test_a_written_config_does_not_contain_the_password() -> None:
    lines = as_file(Config(password="secret"), {"password": "GEVENTCHAT_PASSWORD"}).splitlines()
    assert '# password = ""  # GEVENTCHAT_PASSWORD, not shown' in lines
    assert not any("secret" in line for line in lines)


def test_a_reload_takes_live_settings_and_names_the_others_that_differ() -> None:
    old = Config(port=1, trust=(), limits=Limits(rooms=1, memory_bytes=1))
    new = Config(port=2, trust=("::1/128",), limits=Limits(rooms=2, memory_bytes=2))

    renewed, fixed = old.renewed(new)

    assert renewed == Config(port=1, trust=("::1/128",), limits=Limits(rooms=2, memory_bytes=1))
    assert fixed == ["port", "limits.memory_bytes"]

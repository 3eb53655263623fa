"""Which names and which pages the web door accepts."""

from socket import gethostname

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.server.web.origin import Host, Names, parsed

NAMES = Names("192.0.2.1", ["chat.example.org", "Other.Example"], ["https://app.example"])


@pytest.mark.parametrize(
    ("field", "host"),
    [
        ("localhost", Host("localhost", None)),
        ("LocalHost:8040", Host("localhost", 8040)),
        ("localhost.", Host("localhost", None)),
        ("localhost.:80", Host("localhost", 80)),
        ("localhost:", Host("localhost", None)),
        ("127.0.0.1:8040", Host("127.0.0.1", 8040)),
        ("[::1]", Host("::1", None)),
        ("[2001:DB8::1]:443", Host("2001:db8::1", 443)),
        ("xn--bcher-kva.example", Host("xn--bcher-kva.example", None)),
    ],
)
def test_a_host_is_a_name_and_perhaps_a_port(field: str, host: Host) -> None:
    assert parsed(field) == host


@pytest.mark.parametrize(
    "field",
    [
        "", ":80", "localhost:x", "localhost:65536", "localhost:-1", "localhost:+80",
        "user@localhost", "@localhost", "localhost/", "localhost?", "localhost#", "//localhost",
        "local\thost", "[::1", "::1]", "[::1]x", "[x]", "[cafe]", "[127.0.0.1]", "localhost:80:80",
        "localhost\\@evil", ".", "bücher.example", "[fe80::1%eth0]",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(field: str) -> None:
    host = parsed(field)
    assert host is None or not NAMES.own(host)


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_none(field: str) -> None:
    host = parsed(field)
    if host is not None:
        NAMES.own(host)
        NAMES.may_talk(field, host)


@pytest.mark.parametrize(
    "name",
    [
        "localhost", "127.0.0.1", "192.0.2.1", "198.51.100.7", "::1", "2001:db8::1",
        "chat.example.org", "other.example", gethostname().lower(),
    ],
)  # fmt: skip
def test_names_that_nobody_else_can_claim_are_own(name: str) -> None:
    assert NAMES.own(Host(name, None))


@pytest.mark.parametrize(
    "name",
    [
        "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "chat.example.orgx",
        "x.chat.example.org", "127.1", "0x7f000001", "2130706433", "127.0.0.01",
    ],
)  # fmt: skip
def test_names_that_lead_here_by_somebody_elses_dns_are_not(name: str) -> None:
    assert not NAMES.own(Host(name, None))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "anything.example"),
        ("http://localhost:8040", "localhost:8040"),
        ("https://localhost:8040", "localhost:8040"),
        ("HTTP://LOCALHOST:8040", "localhost:8040"),
        ("http://localhost", "localhost"),
        ("http://localhost", "localhost:80"),
        ("http://localhost:80", "localhost"),
        ("https://chat.example.org", "chat.example.org"),
        ("https://chat.example.org", "chat.example.org:443"),
        ("https://chat.example.org:443", "chat.example.org"),
        ("http://[::1]:8040", "[::1]:8040"),
        ("http://[2001:DB8::1]", "[2001:db8::1]"),
        ("https://app.example", "localhost:8040"),
        ("https://APP.example", "localhost:8040"),
    ],
)
def test_own_pages_and_those_that_were_added_may_talk(origin: str | None, host: str) -> None:
    named = parsed(host)
    assert named is not None
    assert NAMES.may_talk(origin, named)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("null", "localhost:8040"),
        ("", "localhost:8040"),
        ("localhost:8040", "localhost:8040"),
        ("http://", "localhost:8040"),
        ("http://localhost:8041", "localhost:8040"),
        ("http://localhost", "localhost:8040"),
        ("https://localhost", "localhost:80"),
        ("http://localhost:443", "localhost"),
        ("http://127.0.0.1:8040", "localhost:8040"),
        ("http://localhost:8040.evil.example", "localhost:8040"),
        ("http://localhost.evil.example:8040", "localhost:8040"),
        ("http://evil.example/?localhost:8040", "localhost:8040"),
        ("http://localhost:8040@evil.example", "localhost:8040"),
        ("http://evil.example", "localhost:8040"),
        ("http://localhost:8040/", "localhost:8040"),
        ("http://localhost:8040, http://evil.example", "localhost:8040"),
        ("file://localhost:8040", "localhost:8040"),
        ("chrome-extension://localhost:8040", "localhost:8040"),
        ("ws://localhost:8040", "localhost:8040"),
        ("https://app.example.evil", "localhost:8040"),
        ("http://app.example", "localhost:8040"),
        ("https://app.example:8443", "localhost:8040"),
        ("http://[::1]:8041", "[::1]:8040"),
    ],
)
def test_other_pages_may_not(origin: str, host: str) -> None:
    named = parsed(host)
    assert named is not None
    assert not NAMES.may_talk(origin, named)


@pytest.mark.parametrize(
    ("added", "origin"),
    [
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example", "https://app.example:443"),
        ("https://[2001:db8:0::1]", "https://[2001:db8::1]"),
    ],
)
def test_an_added_page_may_be_written_in_another_way(added: str, origin: str) -> None:
    assert Names("localhost", (), [added]).may_talk(origin, Host("localhost", 8040))

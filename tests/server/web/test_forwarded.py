"""What a proxy says of its client, whatever the client has said before it."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from geventchat.server.networks import Networks
from geventchat.server.web.forwarded import client, host
from geventchat.server.web.http import BadRequest

PROXIES = Networks(["10.0.0.0/8", "2001:db8:1::/48"])
Fields = list[tuple[str, str]]


def named(*fields: tuple[str, str]) -> str | None:
    """Return address and port of the client; None: no client can be told."""
    found = client(Headers(list(fields)), PROXIES)
    if found is None:
        return None
    assert not found.anonymous
    return f"{found.address} {found.port}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1 0"),
        (" 192.0.2.1 ", "192.0.2.1 0"),
        ("192.0.2.1:443", "192.0.2.1 443"),
        ("192.0.2.1:65536", "192.0.2.1 0"),
        ("2001:db8::1", "2001:db8::1 0"),
        ("2001:DB8:0::1", "2001:db8::1 0"),
        ("[2001:db8::1]", "2001:db8::1 0"),
        ("[2001:db8::1]:443", "2001:db8::1 443"),
        ("::ffff:192.0.2.1", "192.0.2.1 0"),
        ("[::ffff:192.0.2.1]:5", "192.0.2.1 5"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1 0"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.1, 10.9.9.9", "192.0.2.1 0"),
        ("192.0.2.1, [2001:db8:1::1]:5, ::ffff:10.0.0.1", "192.0.2.1 0"),
        ("192.0.2.1, , 10.0.0.1,", "192.0.2.1 0"),
        ("junk, unknown, 192.0.2.1", "192.0.2.1 0"),
        ("192.0.2.1, unknown", None),
        ("192.0.2.1, unknown, 10.0.0.1", None),
        ("192.0.2.1, _hidden", None),
        ("192.0.2.1 10.0.0.1", None),
        ("10.0.0.1", None),
        ("10.0.0.1, 10.0.0.2", None),
        ("", None),
        (" , ,", None),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("192.0.2.1:", None),
        ("192.0.2.1:x", None),
        ("[192.0.2.1", None),
        ("2001:db8::1]:5", None),
        ("fe80::1%eth0", None),
        ("0.0.0.0", None),
        ("::", None),
        ("224.0.0.1", None),
        ("localhost", None),
        ("\xb2.0.2.1", None),
        ("1" * 5_000, None),
        ("::" * 4_000 + "x", None),
    ],
)
def test_of_a_list_the_last_address_counts_that_is_no_proxys(
    text: str, expected: str | None
) -> None:
    assert named(("X-Forwarded-For", text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for=192.0.2.1", "192.0.2.1 0"),
        ("For=192.0.2.1;Proto=https;by=10.0.0.1", "192.0.2.1 0"),
        ('by=10.0.0.1; for="192.0.2.1:443"', "192.0.2.1 443"),
        ("for=192.0.2.1:443", "192.0.2.1 443"),
        ('for="192.0.2.1:_port"', "192.0.2.1 0"),
        ('for="[2001:db8::1]:443"', "2001:db8::1 443"),
        ("for=[2001:db8::1]", "2001:db8::1 0"),
        (r'for="192.0.2\.1"', "192.0.2.1 0"),
        ("for=6.6.6.6, for=192.0.2.1", "192.0.2.1 0"),
        ('for=6.6.6.6,for=192.0.2.1 , for="10.0.0.1"', "192.0.2.1 0"),
        ('for=192.0.2.1;host="a, for=6.6.6.6"', "192.0.2.1 0"),
        ('for=192.0.2.1;host="a\\", for=6.6.6.6"', "192.0.2.1 0"),
        ('for=", for=192.0.2.1', "192.0.2.1 0"),
        ('for="6.6.6.6, for=192.0.2.1;proto=https', "192.0.2.1 0"),
        (", ;, for=192.0.2.1;;, ", "192.0.2.1 0"),
        ("for=192.0.2.1, host=chat.example.org", None),
        ("for=unknown", None),
        ("for=_hidden, for=10.0.0.1", None),
        ("for=192.0.2.1;for=192.0.2.2", None),
        ("for=192.0.2.1;junk", None),
        ("junk;for=192.0.2.1", None),
        ("for = 192.0.2.1", None),
        ("192.0.2.1", None),
        ("for=", None),
        ("", None),
    ],
)
def test_of_forwarded_the_last_for_counts_that_is_no_proxys(
    text: str, expected: str | None
) -> None:
    assert named(("Forwarded", text)) == expected


def test_several_lines_are_one_list() -> None:
    lines = ["6.6.6.6", "192.0.2.1", "10.0.0.1"]
    assert named(*[("X-Forwarded-For", line) for line in lines]) == "192.0.2.1 0"
    assert named(*[("Forwarded", f"for={line}") for line in lines]) == "192.0.2.1 0"


def test_two_fields_that_name_different_clients_are_refused() -> None:
    """One of them is from the client, and who sets which is not known here."""
    same = ("X-Forwarded-For", "192.0.2.1:5"), ("Forwarded", "for=192.0.2.1")
    assert named(*same) == "192.0.2.1 5"
    assert named(("X-Forwarded-For", ""), ("Forwarded", "for=192.0.2.1")) == "192.0.2.1 0"
    for other in ("for=192.0.2.2", "for=unknown", "for=10.0.0.1", "junk"):
        with pytest.raises(BadRequest, match="different clients"):
            named(("X-Forwarded-For", "192.0.2.1"), ("Forwarded", other))


def test_without_either_field_nobody_is_named() -> None:
    assert named(("X-Real-IP", "192.0.2.1"), ("Host", "192.0.2.1")) is None


LINES = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=99
) | st.text(st.sampled_from(list('for=host ",;\\[]:.10_')), max_size=60)


@given(LINES)
def test_a_client_cannot_hide_behind_what_it_says_itself(said: str) -> None:
    for fields in (
        [("X-Forwarded-For", f"{said}, 192.0.2.1")],
        [("X-Forwarded-For", said), ("X-Forwarded-For", "192.0.2.1")],
        [("Forwarded", f"{said}, for=192.0.2.1")],
        [("Forwarded", said), ("Forwarded", 'for="192.0.2.1";host="a;b,c"')],
        [("Forwarded", said), ("Forwarded", "for=192.0.2.1"), ("Forwarded", "for=10.0.0.1")],
    ):
        assert named(*fields) == "192.0.2.1 0"


@given(st.lists(st.tuples(st.sampled_from(["X-Forwarded-For", "Forwarded"]), LINES), max_size=5))
def test_any_fields_name_a_client_or_nobody_or_are_refused(fields: Fields) -> None:
    headers = Headers(fields)
    host(headers)
    try:
        found = client(headers, PROXIES)
    except BadRequest:
        return
    assert found is None or found.address not in PROXIES


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("X-Forwarded-Host", "chat.example.org")], "chat.example.org"),
        ([("X-Forwarded-Host", "chat.example.org:8443, inner")], "chat.example.org:8443"),
        ([("Forwarded", 'for=192.0.2.1;host="chat.example.org:8443"')], "chat.example.org:8443"),
        ([("Forwarded", "for=192.0.2.1;host=chat.example.org, for=10.0.0.1;host=inner")],
         "chat.example.org"),
        ([("Forwarded", "for=192.0.2.1, for=10.0.0.1;host=inner")], "inner"),
        ([("X-Forwarded-Host", " , ")], None),
        ([("Forwarded", "for=192.0.2.1")], None),
        ([("Host", "chat.example.org")], None),
    ],
)  # fmt: skip
def test_the_host_is_the_one_that_was_asked_first(fields: Fields, expected: str | None) -> None:
    assert host(Headers(fields)) == expected


PARTS = [",", ", ", ";", '"', ',a="', 'a="\\', "a=b;", "for=", 'for="1,', " ", '\\"', "1.", ":"]


@pytest.mark.parametrize("part", PARTS)
def test_a_long_field_takes_no_longer_than_its_length(part: str) -> None:
    said = part * (8_000 // len(part)) + "x"
    headers = Headers([("Forwarded", said), ("X-Forwarded-For", said)])

    def seconds() -> float:
        began = time.thread_time()
        with suppress(BadRequest):
            assert client(headers, PROXIES) is None
        return time.thread_time() - began

    assert any(seconds() < 0.1 for _ in range(5))  # a quadratic one would take seconds

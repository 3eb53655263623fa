"""The header of the PROXY protocol, in whatever pieces it arrives, and what is none."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import frames
from geventchat.server.transport.proxy_header import (
    MOST_BYTES,
    BadHeader,
    Header,
    NoHeader,
    parse,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = st.integers(0, 65_535)
TLVS = st.binary(max_size=MOST_BYTES - 16 - 36)
ANN, BOB = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")


def binary(
    source: IPv4Address | IPv6Address,
    port: int = 5,
    *,
    command: int = 0x21,
    family: int | None = None,
    tlvs: bytes = b"",
) -> bytes:
    """Return a header of version 2, to an address of the same family."""
    rest = source.packed * 2 + struct.pack(">HH", port, 6) + tlvs
    known = 0x11 if source.version == 4 else 0x21
    head = struct.pack(">BBH", command, known if family is None else family, len(rest))
    return SIGNATURE + head + rest


def headers() -> st.SearchStrategy[bytes]:
    """Return correct headers, most of them with a client."""
    pairs = (
        st.integers(4, 6)
        .filter(lambda version: version != 5)
        .flatmap(
            lambda version: st.tuples(st.just(version), *[st.ip_addresses(v=version)] * 2)  # type: ignore[arg-type]
        )
    )
    lines = st.builds(
        lambda pair, a, b: f"PROXY TCP{pair[0]} {pair[1]} {pair[2]} {a} {b}\r\n".encode(),
        pairs, PORTS, PORTS,
    )  # fmt: skip
    unknown = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=90).map(
        lambda text: b"PROXY UNKNOWN " + text.encode() + b"\r\n"
    )
    families = st.sampled_from([None, None, None, 0, 0x12, 0x22, 0x31, 0x32])
    versions = st.builds(
        lambda ip, port, command, family, tlvs: binary(
            ip, port, command=command, family=family, tlvs=tlvs
        ),
        st.ip_addresses(), PORTS, st.sampled_from([0x21, 0x20]), families, TLVS,
    )  # fmt: skip
    return st.one_of(lines, unknown, versions)


@given(st.ip_addresses(), PORTS, PORTS)
def test_a_line_names_the_client(source: IPv4Address | IPv6Address, port: int, other: int) -> None:
    to = source.__class__(1)
    line = f"PROXY TCP{source.version} {source} {to} {port} {other}\r\n".encode()
    header = parse(line)
    assert header is not None
    assert header.size == len(line)
    mapped = getattr(source, "ipv4_mapped", None) or source
    usable = not (mapped.is_unspecified or mapped.is_multicast)
    assert header.source == ((str(mapped), port) if usable else None)


@given(st.ip_addresses(), PORTS, TLVS)
def test_a_binary_header_names_the_client_whatever_follows_its_addresses(
    source: IPv4Address | IPv6Address, port: int, tlvs: bytes
) -> None:
    head = binary(source, port, tlvs=tlvs)
    mapped = getattr(source, "ipv4_mapped", None) or source
    usable = not (mapped.is_unspecified or mapped.is_multicast)
    assert parse(head) == Header(len(head), (str(mapped), port) if usable else None)


@given(headers(), st.binary(max_size=300))
def test_a_header_ends_where_it_says_whatever_follows(head: bytes, after: bytes) -> None:
    header = parse(head)
    assert header is not None
    assert header.size == len(head)
    assert parse(head + after) == header


@given(headers(), st.data())
def test_a_part_of_a_header_is_incomplete(head: bytes, data: st.DataObject) -> None:
    assert parse(head[: data.draw(st.integers(0, len(head) - 1))]) is None


@given(headers())
def test_a_header_is_an_error_where_none_is_expected(head: bytes) -> None:
    assert frames.stranger(head) == "proxy"


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda data: b"PROXY TCP4 " + data),
        st.binary(max_size=200).map(lambda data: SIGNATURE + data),
        st.tuples(headers(), st.integers(0, 60), st.binary(min_size=1, max_size=3)).map(
            lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + 1 :]
        ),
    )
)
def test_any_bytes_are_a_header_part_of_one_or_a_mistake_that_more_bytes_do_not_mend(
    data: bytes,
) -> None:
    mistaken = False
    for size in range(len(data) + 1):
        try:
            header = parse(data[:size])
        except BadHeader:
            mistaken = True
            continue
        assert not mistaken
        if header is not None:
            assert header.size == size  # no byte more was asked for than it has
            return
    assert mistaken or len(data) < MOST_BYTES


@pytest.mark.parametrize(
    "head",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 5 6\r\n",
        b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",
        b"PROXY TCP4 0.0.0.0 192.0.2.2 5 6\r\n",
        b"PROXY TCP6 ff02::1 ::1 5 6\r\n",
        b"PROXY TCP6 ::ffff:0.0.0.0 ::1 5 6\r\n",
        SIGNATURE + b"\x20\0\0\0",
        SIGNATURE + b"\x20\xff\0\x01x",
        SIGNATURE + b"\x21\0\0\0",
        binary(ANN, command=0x20),
        binary(ANN, family=0x12),
        SIGNATURE + b"\x21\x31\0\xd8" + b"/run/proxy".ljust(216, b"\0"),
    ],
)
def test_a_header_may_name_no_client_that_can_be_used(head: bytes) -> None:
    assert parse(head) == Header(len(head), None)


@pytest.mark.parametrize(
    ("head", "source"),
    [
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 65535 0\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:DB8:0::1 ::1 65535 0\r\n", "2001:db8::1"),
    ],
)
def test_an_address_is_as_an_operator_writes_it(head: bytes, source: str) -> None:
    assert parse(head) == Header(len(head), (source, 65_535))


@pytest.mark.parametrize(
    ("head", "mistake"),
    [
        (b"PROXY UNKNOWN\n", "does not end with CR LF in 107 bytes"),
        (b"PROXY UNKNOWN\rx", "does not end with CR LF"),
        (b"PROXY TCP4 " + b"x" * 95 + b"\r\n", "does not end with CR LF"),
        (b"PROXY UNKNOWN \xff", "does not end with CR LF"),
        (b"PROXY \0", "does not end with CR LF"),
        (b"PROXY UNKNOWN \x1b[2J\r\n", "one line of ASCII"),
        (b"PROXY TCP5 192.0.2.1 192.0.2.2 5 6\r\n", "names neither TCP4"),
        (b"PROXY \r\n", "names neither TCP4"),
        (b"PROXY tcp4 192.0.2.1 192.0.2.2 5 6\r\n", "names neither TCP4"),
        (b"PROXY  TCP4 192.0.2.1 192.0.2.2 5 6\r\n", "names neither TCP4"),
        (b"PROXY TCP4\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5\r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6 \r\n", "two addresses and two ports"),
        (b"PROXY TCP4 192.0.2.1  5 6\r\n", "not of TCP4"),
        (b"PROXY TCP4 ::1 192.0.2.2 5 6\r\n", "not of TCP4"),
        (b"PROXY TCP4 192.0.2.1 ::1 5 6\r\n", "not of TCP4"),
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 5 6\r\n", "not of TCP4"),
        (b"PROXY TCP4 localhost 192.0.2.2 5 6\r\n", "not of TCP4"),
        (b"PROXY TCP6 192.0.2.1 ::1 5 6\r\n", "not of TCP6"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 5 6\r\n", "not of TCP6"),
        (b"PROXY TCP6 [::1] ::1 5 6\r\n", "not of TCP6"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 6\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 -6\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 +6\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 05 6\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5_0 6\r\n", "port"),
        (SIGNATURE + b"\x11", "unknown version"),
        (SIGNATURE + b"\x31", "unknown version"),
        (SIGNATURE + b"\x22", "unknown command"),
        (SIGNATURE + b"\x2f\x11\0\x0c", "unknown command"),
        (SIGNATURE + b"\x21\x41\0\0", "unknown address family"),
        (SIGNATURE + b"\x21\x13\0\0", "unknown address family or transport"),
        (SIGNATURE + b"\x21\x11\0\x0b", "too short for its addresses"),
        (SIGNATURE + b"\x21\x21\0\x23", "too short for its addresses"),
        (SIGNATURE + b"\x21\x11\x10\x01", "longer than 4,096 bytes"),
        (SIGNATURE + b"\x20\0\xff\xff", "longer than 4,096 bytes"),
    ],
)
def test_a_mistake_is_named(head: bytes, mistake: str) -> None:
    with pytest.raises(BadHeader, match=mistake) as caught:
        parse(head)
    assert not isinstance(caught.value, NoHeader)


@pytest.mark.parametrize(
    "head",
    [
        b"\0",
        b"hello\0",
        b'\x1e{"type":"hello"}\0',
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 5 6\r\n",
        b" PROXY UNKNOWN\r\n",
        b"PROXY\r\n",
        b"PROXYX",
        b"\r\n\r\n\0\r\nQUIX",
        b"\r\n\0",
    ],
)
def test_bytes_that_do_not_begin_like_a_header_are_none(head: bytes) -> None:
    with pytest.raises(NoHeader, match="sent no PROXY header"):
        parse(head)

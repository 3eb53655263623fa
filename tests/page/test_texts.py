"""Texts of others become pieces that are shown as text alone."""

import time

import pytest

from tests.page.conftest import Ask


def kinds(pieces: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(piece["kind"], piece.get("href") or piece["text"]) for piece in pieces]


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see https://example.org/a.", "https://example.org/a"),
        ("(https://example.org/a_(b))", "https://example.org/a_(b)"),
        ("https://example.org/?a=1&b=2#c, and", "https://example.org/?a=1&b=2#c"),
        ("HTTP://EXAMPLE.ORG/x", "http://example.org/x"),
        ("<https://example.org/>", "https://example.org/"),
        ("https://例え.jp/道", "https://xn--r8jz45g.jp/%E9%81%93"),
    ],
)
def test_a_link_ends_where_its_sentence_goes_on(ask: Ask, text: str, link: str) -> None:
    assert [found["href"] for found in ask("links", text)] == [link]


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://user:pw@example.org/",
        "https://example.org@evil.example/",
        "https://",
        "xhttps://example.org",
        "https://example.org/" + "a" * 3000,
        "file:///etc/passwd",
    ],
)
def test_what_is_not_a_plain_link_stays_text(ask: Ask, text: str) -> None:
    assert ask("links", text) == []


def test_a_link_cannot_hide_its_host_behind_a_direction(ask: Ask) -> None:
    [found, *_] = ask("links", "https://example.org/\u202egro.elpmaxe")
    assert found["href"] == "https://example.org/"


def test_a_link_of_brackets_alone_delays_nobody(ask: Ask) -> None:
    text = f"https://example.org/{')' * 1_900} " * 100

    def seconds() -> float:
        began = time.perf_counter()
        assert {found["href"] for found in ask("links", text)} == {"https://example.org/"}
        return time.perf_counter() - began

    assert any(seconds() < 0.5 for _ in range(10))  # other programs may delay some


def test_line_breaks_that_do_not_end_a_text_delay_nobody(ask: Ask) -> None:
    """From each of them on they could reach to its end."""
    text = "\n" * 65_000 + "x"

    def seconds() -> float:
        began = time.perf_counter()
        assert ask("pieces", text, "") == [{"kind": "text", "text": text}]
        return time.perf_counter() - began

    assert any(seconds() < 0.5 for _ in range(10))  # other programs may delay some


def test_code_keeps_its_lines_and_holds_no_links(ask: Ask) -> None:
    pieces = kinds(ask("pieces", "see\n```py\nx = 1\n  https://a.example\n```\nand `y`", "Ann"))
    assert pieces == [
        ("text", "see"),
        ("block", "x = 1\n  https://a.example"),
        ("text", "and "),
        ("code", "y"),
    ]


def test_markup_is_text(ask: Ask) -> None:
    text = "<img src=x onerror=alert(1)> <script>alert(1)</script> **bold** [x](javascript:y)"
    assert kinds(ask("pieces", text, "")) == [("text", text)]


def test_what_acts_is_spelt_out_in_every_kind_of_piece(ask: Ask) -> None:
    text = "\u202ea `\u202eb` ```\u202ec``` @Ann\u202e"
    shown = "".join(piece["text"] for piece in ask("pieces", text, "Ann"))
    assert "\u202e" not in shown
    assert shown.count("\\u202e") == 4


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65_536,
        "`" * 65_536,
        "a" + "\u0301" * 30_000,
        "http://" * 9_000,
        "https://a.example/" + "(" * 1_900,
        "https://a.example/ " * 3_400,
        "Ann " * 16_000,
        "```\n" * 16_000,
        "\u200b" * 21_000,
    ],
)
@pytest.mark.timeout(5)
def test_a_hostile_text_of_64_kib_is_cut_soon(ask: Ask, text: str) -> None:
    pieces = ask("pieces", text, "Ann")
    assert pieces

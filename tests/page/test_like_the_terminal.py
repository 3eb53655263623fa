"""What the page and the terminal both do, they do alike: the rules exist in two languages."""

import pytest

from geventchat.client.terminal.commands import COMMANDS
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.typed import read
from geventchat.protocol import durations
from geventchat.protocol.mentions import mentions
from geventchat.protocol.names import fold
from geventchat.protocol.visible import visible
from tests.page.conftest import Ask

TEXTS = [
    "plain",
    "ESC \x1b[31m, bell \a, C1 \x9b, delete \x7f",
    "line\nbreak\r\nand\ttab",
    "right-to-left \u202eoverride\u202c, isolate \u2066x\u2069, mark \u200f",
    "zero\u200bwidth, joiner \u200d, no-break \ufeff, separator \u2028",
    "👩\u200d👩\u200d👧 and 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "tags \U000e0041\U000e0042",
    "สวัสดี\u200bครับ",
    "ᠠ\u180eᠡ and a\u180eb",
    "annotation \ufff9x\ufffa",
    "Zalgo " + "\u0301" * 1000,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("keep", ["", "\n\t"])
def test_the_same_characters_are_spelt_out(ask: Ask, text: str, keep: str) -> None:
    assert ask("visible", text, keep) == visible(text, keep)


@pytest.mark.parametrize(
    ("text", "nick"),
    [
        ("hello Ann, and ann!", "Ann"),
        ("Annabel, Joann, ann_b, ann2, an n", "ann"),
        ("@ann: (ann) ann's", "Ann"),
        ("kimさん、kim씨", "kim"),
        ("김철수씨 안녕", "김철수"),
        ("Ａｎｎ and A\u200bnn and A\u00adnn", "ann"),
        ("e\u0301lan vital, élan", "élan"),
        ("elan\u0301", "elan"),
        ("STRASSE straße", "straße"),
        ("ΟΔΟΣ οδος οδοσ", "οδος"),
        ("ﬁn fin", "fin"),
        ("anя яann ann1", "ann"),
        ("한글a", "a"),
        ("𝒜nn 😀ann😀", "ann"),
        ("", "ann"),
        ("คุณแอนครับ", "แอน"),
        ("😀" * 997 + "ann", "ann"),
        ("😀" * 998 + "ann", "ann"),
    ],
)
def test_the_same_mentions_are_found(ask: Ask, text: str, nick: str) -> None:
    assert [tuple(place) for place in ask("mentions", text, nick)] == mentions(text, nick)


@pytest.mark.parametrize(
    "name", ["Tea", "ＴＥＡ", "ß", "ẞ", "ΣΑΣ", "ſ", "ıI", "ﬀ", "Å", "ʼn", "日本"]
)
def test_names_are_folded_alike(ask: Ask, name: str) -> None:
    assert ask("fold", name) == fold(name)


@pytest.mark.parametrize(
    "text",
    ["90s", "10m", "1h30m", "7d", "2 weeks", "1.5h", "1 h 30 min", "0s", "11y", "x", "5", "１０m"],
)
def test_durations_are_read_alike(ask: Ask, text: str) -> None:
    try:
        wanted = durations.seconds(text)
    except ValueError:
        with pytest.raises(ValueError, match="write 90s"):
            ask("seconds", text)
    else:
        assert ask("seconds", text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "10 apples",
        "for 5",
        "spam",
        "half an hour",
        "an idiot",
        "until tomorrow",
        "(10m)",
        "pt5m",
        "",
    ],
)
def test_what_begins_like_a_duration_is_seen_alike(ask: Ask, text: str) -> None:
    assert ask("beginsLikeOne", text) == durations.begins_like_one(text)


LINES = [
    "hello",
    "  hello",
    "/msg Bob secret",
    " /msg Bob secret",
    "\u200b/msg Bob secret",
    "／msg Bob secret",
    "⁄tell Bob secret",
    "\\msg Bob secret",
    "7msg Bob secret",
    "-msg Bob secret",
    "?whisper Bob secret",
    "- msg Bob secret",
    "./msg Bob secret",
    "//msg is a command",
    "//",
    "/etc/passwd is a file",
    "/me waves",
    "/ME waves",
    "/m\u200bsg Bob secret",
    "/jion dev",
    "/xyzzy",
    "/",
    "/ msg Bob secret",
    "msg Bob secret",
    "╱╲ a drawing",
    "/nick  Bob ",
    "/leave",
    "/whisper Bob secret",
    "/msgg Bob secret",
]


@pytest.mark.parametrize("line", LINES)
def test_a_private_text_is_recognised_alike(ask: Ask, line: str) -> None:
    try:
        meant = read(line)
    except NotUnderstood:
        with pytest.raises(ValueError, match=r"Not sent|Unknown command"):
            ask("read", line)
    else:
        wanted = meant if isinstance(meant, str) else [meant[0].name, meant[1]]
        assert ask("read", line) == wanted


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("msg", "Bob  hi there"),
        ("msg", "Bob two\nlines"),
        ("msg", "Bob"),
        ("mute", "Bob"),
        ("mute", "Bob 10m"),
        ("mute", "Bob for 10m spam"),
        ("mute", "Bob by address 1h30m much spam"),
        ("ban", "10.0.0.0/8 By Client spam"),
        ("ban", "Bob 10 apples"),
        ("lock", ""),
        ("lock", "10m"),
        ("lock", "dev 10m"),
        ("lock", "dev"),
        ("close", "1d"),
        ("close", "soon"),
        ("open", ""),
        ("open", "x"),
        ("edit", "the text"),
        ("edit", "#17 the text"),
        ("edit", "#17"),
        ("edit", "#17 #18"),
        ("edit", "#17th"),
        ("edit", "#x y"),
        ("redact", ""),
        ("redact", "#17"),
        ("redact", "17"),
        ("topic", ""),
        ("topic", "Tea & cake"),
    ],
)
def test_arguments_are_read_alike(ask: Ask, name: str, rest: str) -> None:
    assert ask("parse", name, rest) == COMMANDS[name].given(rest)


def test_the_page_has_every_command_of_the_terminal(ask: Ask) -> None:
    for name, command in COMMANDS.items():
        if command.name in ("recent", "goto"):  # messages have a menu, results are chosen
            continue
        needed = " ".join("x" for kind in command.arguments.split() if not kind.startswith("["))
        read_as = ask("read", f"/{name} {needed}")
        if command.name not in ("rooms", "list", "more"):  # the page shows both in one place
            assert read_as[0] == command.name, name

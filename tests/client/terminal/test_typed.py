"""What a typed line is taken for. A private text is never taken for one to the room."""

import pytest

from geventchat.client.terminal.commands import COMMANDS
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.typed import read, read_plain

SECRET = "msg bob the password is hunter2"


def command(line: str) -> tuple[str, str]:
    meant = read(line)
    assert isinstance(meant, tuple), line
    return meant[0].name, meant[1]


@pytest.mark.parametrize(
    "before",
    [
        *(" ", "  ", "\t", "\n", "\r\n\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\x85"),
        *("\u200b", "\ufeff", "\u200e", "\u202e", "\u2060", "\u3164", "\u2800", "\ufe0f"),
        *("\x1b", "\0", " \u200b\n"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("slash", "/／⁄∕⧸")
def test_a_command_is_one_behind_blanks_and_with_any_slash(before: str, slash: str) -> None:
    assert command(f"{before}{slash}{SECRET}") == ("msg", SECRET.removeprefix("msg "))


@pytest.mark.parametrize(
    "line",
    [
        "/msg\u00a0bob\u00a0psst",
        "/msg\nbob psst",
        "/msg\u3000bob psst",
        "/msg\u200b bob psst",
        "/msg \u200bbob psst",
        "/\u200bMSG bob psst",
        "/ｍｓｇ bob psst",
        "/Msg bob psst",
        "/tell bob psst",
        "/m bob psst",
    ],
    ids=ascii,
)
def test_a_command_has_its_name_in_any_spelling(line: str) -> None:
    name, rest = command(line)
    given = COMMANDS[name].given(rest)
    assert given is not None
    assert (name, given["nick"].strip("\u200b"), given["text"]) == ("msg", "bob", "psst")


@pytest.mark.parametrize(
    "line",
    [
        "/mgs bob psst",
        "/ msg bob psst",
        "/\u2800msg,bob psst",
        "/msg/bob psst",
        "/MSGS/bob psst",
        "./msg bob psst",
        "´/msg bob psst",
        "\u0301/msg bob psst",
        "\\msg bob psst",
        "7msg bob psst",
        "-Query bob psst",
        "?/msg bob psst",
        ",/whisper bob psst",
        "'/msg bob psst",
        "> /msg bob psst",
        "//msg bob psst",
        "・msg bob psst",
        ":msg bob psst",
    ],
    ids=ascii,
)
def test_what_resembles_a_private_text_is_not_sent(line: str) -> None:
    with pytest.raises(NotUnderstood):
        read(line)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("hello", "hello"),
        ("  indented", "  indented"),
        ("//mode is no command", "/mode is no command"),
        (" //x", "/x"),
        ("/etc/hosts is wrong, see line 3", "/etc/hosts is wrong, see line 3"),
        ("/usr/bin/env", "/usr/bin/env"),
        ("/tmp/x", "/tmp/x"),
        ("/home/ann/.bashrc", "/home/ann/.bashrc"),
        ("msg me later", "msg me later"),
        ("with /msg bob you tell bob alone", "with /msg bob you tell bob alone"),
        ("- msg bob", "- msg bob"),
        ("7 queries failed", "7 queries failed"),
        ("one\n/msg two", "one\n/msg two"),
        ("?", "?"),
        ("\u200b", "\u200b"),
        ("/\\_/\\", "/\\_/\\"),
        ("╱╲╱╲", "╱╲╱╲"),
    ],
)
def test_other_texts_are_sent(line: str, text: str) -> None:
    assert read(line) == text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/JOIN tea", "join"),
        ("/Nick ann", "nick"),
        ("/j tea", "join"),
        ("/part", "leave"),
        ("/me waves", "me"),
        ("/names", "who"),
        ("/list", "list"),
        ("/ls", "rooms"),
        ("/exit", "quit"),
        ("/query bob", "query"),
        ("/Q bob", "query"),
        ("/?", "help"),
    ],
)
def test_the_names_of_other_chats_are_known(typed: str, meant: str) -> None:
    assert command(typed)[0] == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("hlep", "help"), ("jion", "join"), ("Mgs", "msg"), ("tpoic", "topic"), ("prat", "part")),
        *(("unf", "unfreeze"), ("whois", "who"), ("histroy", "history"), ("ignroe", "ignore")),
    ],
)
def test_the_nearest_command_is_named(typed: str, meant: str) -> None:
    with pytest.raises(NotUnderstood, match=rf"Unknown command /{typed}; did you mean /{meant}\?"):
        read(f"/{typed} it")


@pytest.mark.parametrize("line", ["/msg bob psst", " /m bob psst", "／query bob", "7msg bob psst"])
def test_plain_mode_sends_no_private_text_either(line: str) -> None:
    with pytest.raises(NotUnderstood, match="Not sent"):
        read_plain(line)
    assert read_plain("/nick is text") == "/nick is text"

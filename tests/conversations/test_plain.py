"""The original protocol: null-terminated text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conversations.chat import Chat
from tests.conversations.peers import Plain, texts

MAX_FRAME_BYTES = 65_536


def say(peer: Plain, *said: str) -> None:
    """Send texts as frames, all in one piece."""
    peer.send(b"".join(text.encode() + b"\0" for text in said))


def test_a_message_reaches_all_others_byte_for_byte_and_not_its_sender(
    stored_chat: Chat,
) -> None:
    """Each frame reaches every other member of the lobby as it was sent, and not its sender."""
    one, other, third = stored_chat.plain_clients(3)
    one.send(b"first\0")
    assert other.frame() == third.frame() == b"first"
    other.send("zwei \U0001f600\0".encode())
    assert one.frame() == third.frame() == "zwei \U0001f600".encode()
    third.send(b"\xef\xbb\xbftrois\r\n\0")
    assert one.frame() == other.frame() == b"\xef\xbb\xbftrois\r\n"


def test_connecting_is_answered_with_silence(chat: Chat) -> None:
    """The server sends nothing on connect."""
    one, other = chat.plain_clients(2)
    say(other, "the first word")
    assert one.frame() == b"the first word"


def test_a_client_that_never_speaks_hears_everything(chat: Chat) -> None:
    """A client is a full member from the moment it connects; it need not speak."""
    listener, speaker = chat.plain_clients(2)
    for text in ("one", "two"):
        say(speaker, text)
        assert listener.frame() == text.encode()


def test_a_plain_client_does_not_hear_earlier_messages(chat: Chat) -> None:
    early, speaker = chat.plain_clients(2)
    say(speaker, "before")
    assert early.frame() == b"before"
    late = chat.plain()
    say(speaker, "after")
    assert late.frame() == b"after"


def test_a_frame_of_exactly_the_limit_passes(chat: Chat) -> None:
    """A frame has at most 65,536 bytes before the null byte: bytes, not characters."""
    one, other = chat.plain_clients(2)
    whole = b"x" * (MAX_FRAME_BYTES - 2) + "é".encode()
    one.send(whole + b"\0")
    assert other.frame() == whole


def test_a_character_may_come_in_pieces(chat: Chat) -> None:
    """A frame may arrive in any number of pieces: here each byte is read by itself."""
    one, other = chat.plain_clients(2)
    pinger = chat.rich(rooms=[])
    for byte in "naïve \U0001f600".encode() + b"\0":
        one.send(bytes([byte]))
        pinger.pong()
    assert other.frame() == "naïve \U0001f600".encode()


def test_many_frames_may_come_in_one_piece(chat: Chat) -> None:
    one, other = chat.plain_clients(2)
    said = [str(number) for number in range(1_000)]
    say(one, *said)
    assert other.frames(1_000) == [text.encode() for text in said]


def test_empty_frames_are_ignored(chat: Chat) -> None:
    one, other = chat.plain_clients(2)
    one.send(b"\0\0\0something\0\0more\0")
    assert other.frames(2) == [b"something", b"more"]


@pytest.mark.parametrize(
    "text",
    [
        "/help",
        "/quit",
        '{"type":"say","room":"lobby","text":"no"}',
        '{"type":"hello","version":1,"client":"abcdefghijklmnop"}',
        '\x1e{"type":"say","room":"lobby","text":"no"}',
        "\x1e",
        "* geventchat: Goodbye.",
        " ",
        "\n",
        "\t \r\n",
        "q ",
        "Q",
        "qq",
        "q\n",
        "\x1b[31m\x07",
        "GET / HTTP/1.1\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\x16\x03\x01",
    ],
)
def test_text_is_text_whatever_it_looks_like(chat: Chat, text: str) -> None:
    """There are no commands, and blank text is text too.

    Bytes with a meaning at the start of a connection have none later.
    """
    one, other = chat.plain_clients(2)
    say(one, "something first", text, "and on")
    assert other.frames(3) == [b"something first", text.encode(), b"and on"]
    say(other, "nothing came back")
    assert one.frame() == b"nothing came back"


@pytest.mark.parametrize("text", ["\x1e", "\x1ehello", "\x1e {", "\x1e\x1e{}", "{", "/", " "])
def test_only_the_mark_and_a_brace_begin_a_rich_connection(chat: Chat, text: str) -> None:
    """U+001E before anything but `{` is text, in the first frame as well."""
    one, other = chat.plain_clients(2)
    say(one, text, "and on")
    assert other.frames(2) == [text.encode(), b"and on"]
    say(other, "nothing came back")
    assert one.frame() == b"nothing came back"


def test_q_closes_and_is_not_relayed(stored_chat: Chat) -> None:
    """A frame that is exactly `q` is not relayed and ends the connection; frames before it are
    delivered, frames after it are not."""
    one, other, third = stored_chat.plain_clients(3)
    say(one, "goodbye", "q", "not any more")
    assert one.rest() == []
    assert other.frame() == third.frame() == b"goodbye"
    say(third, "marker")
    assert other.frame() == b"marker"


@pytest.mark.parametrize("word", ["q", "q\r"])
def test_q_may_be_the_first_word(chat: Chat, word: str) -> None:
    """Telnet sends CR NUL for Enter."""
    one, other, third = chat.plain_clients(3)
    say(one, word)
    assert one.rest() == []
    say(third, "marker")
    assert other.frame() == b"marker"


def test_all_members_hear_the_same_order(stored_chat: Chat) -> None:
    """All members receive the same order, which keeps the order of each sender."""
    speakers, listeners = stored_chat.plain_clients(3), stored_chat.plain_clients(3)
    rich = stored_chat.rich()
    for number in range(0, 40, 2):
        for name, speaker in zip("abc", speakers, strict=True):
            say(speaker, f"{name}{number}", f"{name}{number + 1}")
    heard = [listener.frames(120) for listener in listeners]
    assert heard[0] == heard[1] == heard[2]
    for letter, speaker in zip((b"a", b"b", b"c"), speakers, strict=True):
        own = [text for text in heard[0] if text.startswith(letter)]
        assert own == [b"%s%d" % (letter, number) for number in range(40)]
        assert speaker.frames(80) == [text for text in heard[0] if text not in own]
    posts = rich.posts(120)
    assert [post["position"] for post in posts] == list(range(1, 121))
    assert texts(posts) == [text.decode() for text in heard[0]]


def test_plain_and_rich_members_hear_each_other(chat: Chat) -> None:
    """Rich members see a plain one as a numbered guest; it receives only their texts."""
    plain, rich = chat.plain(), chat.rich("Ann")
    say(plain, "from plain")
    presence, post = rich.event(), rich.event()
    assert (presence["type"], presence["event"]) == ("presence", "join")
    assert post["author"] == presence["nick"]
    assert post["author"].startswith("guest-")
    assert post["text"] == "from plain"
    rich.say("lobby", "from rich")
    assert plain.frame() == b"from rich"


def test_any_text_cut_anywhere_arrives_as_it_was_sent(chat: Chat) -> None:
    """Every plain member gets exactly the bytes that were sent, however they were cut."""
    sender, other, third = chat.plain_clients(3)
    pinger = chat.rich(rooms=[])
    say(sender, "the first frame decides, so it was another")
    assert other.frame() == third.frame()
    characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    words = st.text(characters, min_size=1).filter(lambda text: text != "q")

    @given(st.lists(words, min_size=1), st.lists(st.integers(0)))
    def arrives(said: list[str], cuts: list[int]) -> None:
        frames = [text.encode() for text in said]
        data = b"".join(frame + b"\0" for frame in frames)
        start = 0
        for cut in sorted({cut % len(data) for cut in cuts}):
            sender.send(data[start:cut])
            pinger.pong()
            start = cut
        sender.send(data[start:])
        assert other.frames(len(frames)) == frames
        assert third.frames(len(frames)) == frames

    arrives()
    say(other, "nothing came back")
    assert sender.frame() == b"nothing came back"

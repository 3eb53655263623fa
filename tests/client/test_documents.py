import re
import subprocess
import sys
from pathlib import Path

from geventchat.client import ClientEvent, Connection, Post, Presence

BOTS = Path(__file__).parents[2] / "docs" / "bots.md"


def came(event: ClientEvent) -> bool:
    return isinstance(event, Presence) and (event.nick, event.event) == ("counter", "join")


def bot(port: int, rooms: str) -> str:
    found = re.search(r"```python\n(.*?)```", BOTS.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1].replace("4040", str(port)).replace('"lobby"', rooms)


def test_the_bot_of_the_document_knows_in_each_room_what_is_old(port: int) -> None:
    rooms = ["quiet", "busy"]
    for order in (rooms, rooms[::-1]):
        with Connection("127.0.0.1", port, nick="emil-c", rooms=rooms) as chat:
            for text in ("!stop", *map(str, range(20))):
                chat.say("busy", text)
            chat.say("quiet", "!stop")
            program = bot(port, ", ".join(f'"{room}"' for room in order))
            with subprocess.Popen([sys.executable, "-c", program]) as process:
                next(e for e in chat if came(e) and getattr(e, "room", "") == order[-1])
                chat.say("quiet", "!count")
                posts = (e for e in chat if isinstance(e, Post) and e.author == "counter")
                assert next(posts).text == "emil-c: 0"
                chat.say("busy", "!stop")
                assert process.wait(30) == 0


def test_the_bot_of_the_document_counts(port: int) -> None:
    program = bot(port, '"counting"')
    with Connection("127.0.0.1", port, nick="dora-c", rooms=["counting"]) as chat:
        for texts in (["one", "two"], ["three"]):  # the first two are old to the second bot
            with subprocess.Popen([sys.executable, "-c", program]) as process:
                next(event for event in chat if came(event))
                for text in (*texts, "!count"):
                    chat.say("counting", text)
                posts = (e for e in chat if isinstance(e, Post) and e.author == "counter")
                assert next(posts).text == f"dora-c: {len(texts)}"
                chat.say("counting", "!stop")
                assert process.wait(30) == 0

import re
import subprocess
import sys
from pathlib import Path

from geventchat.client import ClientEvent, Connection, Post, Presence

BOTS = Path(__file__).parents[2] / "docs" / "bots.md"


def came(event: ClientEvent) -> bool:
    return isinstance(event, Presence) and (event.nick, event.event) == ("counter", "join")


def test_the_bot_of_the_document_counts(port: int) -> None:
    found = re.search(r"```python\n(.*?)```", BOTS.read_text("utf-8"), re.DOTALL)
    assert found
    bot = found[1].replace("4040", str(port)).replace('"lobby"', '"counting"')
    with Connection("127.0.0.1", port, nick="dora-c", rooms=["counting"]) as chat:
        for texts in (["one", "two"], ["three"]):  # the first two are old to the second bot
            with subprocess.Popen([sys.executable, "-c", bot]) as process:
                next(event for event in chat if came(event))
                for text in (*texts, "!count"):
                    chat.say("counting", text)
                posts = (e for e in chat if isinstance(e, Post) and e.author == "counter")
                assert next(posts).text == f"dora-c: {len(texts)}"
                chat.say("counting", "!stop")
                assert process.wait(10) == 0

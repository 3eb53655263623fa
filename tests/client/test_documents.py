import re
import subprocess
import sys
from pathlib import Path

from geventchat.client import Connection, Post

BOTS = Path(__file__).parents[2] / "docs" / "bots.md"


def test_the_bot_of_the_document_counts(port: int) -> None:
    found = re.search(r"```python\n(.*?)```", BOTS.read_text("utf-8"), re.DOTALL)
    assert found
    bot = found[1].replace("4040", str(port)).replace('"lobby"', '"counting"')
    with (
        Connection("127.0.0.1", port, nick="dora-c", rooms=["counting"]) as chat,
        subprocess.Popen([sys.executable, "-c", bot]) as process,
    ):
        next(event for event in chat if getattr(event, "nick", None) == "counter")
        chat.say("counting", "one")
        chat.say("counting", "two")
        chat.say("counting", "!count")
        posts = (event for event in chat if isinstance(event, Post) and event.author == "counter")
        assert next(posts).text == "dora-c: 2"
        chat.say("counting", "!stop")
        assert process.wait(10) == 0

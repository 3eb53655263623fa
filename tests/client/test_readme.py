import re
import subprocess
import sys
from pathlib import Path

from geventchat.client import ClientEvent, Connection, Post, Presence

README = Path(__file__).parents[2] / "README.md"


def came(event: ClientEvent) -> bool:
    return isinstance(event, Presence) and (event.nick, event.event) == ("parrot", "join")


def test_the_bot_of_the_readme_does_what_it_says(port: int) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert found
    bot = found[1].replace("4040", str(port))
    assert len(bot.splitlines()) <= 15
    with Connection("127.0.0.1", port) as chat:
        for text in ("hello", "hello again"):  # what the first was told is not for the second
            with subprocess.Popen([sys.executable, "-c", bot]) as process:
                next(event for event in chat if came(event))
                chat.say("lobby", f"!say {text}")
                posts = (e for e in chat if isinstance(e, Post) and e.author == "parrot")
                assert next(posts).text.endswith(f" says: {text}")
                chat.say("lobby", "!quit")
                assert process.wait(30) == 0

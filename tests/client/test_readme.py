import re
import subprocess
import sys
from pathlib import Path

from geventchat.client import Connection, Post

README = Path(__file__).parents[2] / "README.md"


def test_the_bot_of_the_readme_does_what_it_says(port: int) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert found
    bot = found[1].replace("4040", str(port))
    assert len(bot.splitlines()) <= 15
    with (
        Connection("127.0.0.1", port) as chat,
        subprocess.Popen([sys.executable, "-c", bot]) as process,
    ):
        came = (event for event in chat if getattr(event, "nick", None) == "parrot")
        next(came)
        chat.say("lobby", "!say hello")
        posts = (event for event in chat if isinstance(event, Post) and event.author == "parrot")
        assert next(posts).text.endswith(" says: hello")
        chat.say("lobby", "!quit")
        assert process.wait(10) == 0

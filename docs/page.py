"""Takes docs/page.png: the page in Chromium, connected to a real server.

python -m docs.page
"""

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from geventchat.client import Connection
from loadtests.support.address import free_port
from loadtests.support.server import geventchat

SIZE = {"width": 1120, "height": 640}
CODE = """every batch, before anyone sees it:
```
with store.transaction():
    store.append(batch)
hub.deliver(batch)
```"""


def play(page: Page, port: int) -> None:
    """Let people talk until the page shows something of everything."""
    rooms = ("lobby", "release")
    with (
        Connection("127.0.0.1", port, nick="Lars", rooms=rooms) as lars,
        Connection("127.0.0.1", port, nick="mei", rooms=rooms) as mei,
        Connection("127.0.0.1", port, nick="ci", rooms=rooms) as ci,
    ):
        lars.topic("lobby", "0.1.0 ships today")
        lars.say("lobby", "morning! the nightly load test is green")
        ci.say("lobby", "build 1284 passed in 3:51, see https://ci.example.org/builds/1284")
        mei.say("lobby", "with every post on disk first?")
        lars.say("lobby", CODE)
        page.get_by_role("textbox", name="Name").fill("ann")
        page.get_by_role("button", name="Join").click()
        message = page.get_by_role("textbox", name="Message")
        for line in "/join release", "/join lobby", "and one core, still?":
            message.fill(line)
            message.press("Enter")
        expect(page.get_by_role("article")).to_have_count(5)
        mei.say("lobby", "ann: one core. kill -9 hit it twice, nothing was lost")
        mei.say("release", "0.1.0 is tagged, ann")
        lars.direct("ann", "lunch?")
        for unread in "release 1 unread, mentions you", "Lars 1 unread":
            expect(page.get_by_role("button", name=unread)).to_be_visible()
        mei.typing("lobby")
        expect(page.get_by_text("mei is typing")).to_be_visible()
        message.fill("shipping it then")
        page.mouse.move(0, 0)  # off the row that it would show a menu for
        page.screenshot(path=Path(__file__).with_name("page.png"))


def main() -> None:
    """Start a server and a browser, play, take the picture."""
    web = f"127.0.0.1:{free_port()}"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with geventchat("--web", web) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        page.goto(f"http://{web}/")
        play(page, server.address.port)
        browser.close()


if __name__ == "__main__":
    main()

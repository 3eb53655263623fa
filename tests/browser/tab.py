"""A tab as its user sees it: what there is to find in it, and everything that went wrong."""

import json
from typing import Any, Final

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, WebSocket, expect

MILLISECONDS: Final = 20_000
PASSWORD: Final = "correct horse"
expect.set_options(timeout=MILLISECONDS)
_LOST: Final = "WebSocket connection to "
"""How the console begins to say that a connection failed, which it may when a server is killed."""
_REPORT_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", (violation) =>
  console.error(`CSP: ${violation.violatedDirective} ${violation.blockedURI}`));
"""


class Tab:
    """A page of the chat, opened in a browser.

    Things are found by their roles and names, as people and screen readers find them.
    """

    def __init__(self, page: Page, address: str, nick: str, room: str) -> None:
        """`address`: of the server's page."""
        self.page = page
        self.address = address
        self.nick = nick
        self.room = room
        self.wrong: list[str] = []
        """Errors, violations of the Content-Security-Policy, requests to anywhere else."""
        page.set_default_timeout(MILLISECONDS)
        page.add_init_script(_REPORT_VIOLATIONS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._on_request)
        page.on("websocket", self._on_websocket)

        self.name = page.get_by_role("textbox", name="Name", exact=True)
        self.password = page.get_by_role("textbox", name="Password", exact=True)
        self.join_button = page.get_by_role("button", name="Join", exact=True)
        self.message = page.get_by_role("textbox", name="Message", exact=True)
        self.log = page.get_by_role("log")
        self.articles = self.log.get_by_role("article")
        self.rooms = page.get_by_role("navigation", name="Rooms")
        self.members = page.get_by_role("list", name="Members")
        self.title = page.get_by_role("heading", level=1)
        """The name of the conversation that is shown."""
        self.banner = page.get_by_role("status")

    def open(self, path: str | None = None) -> "Tab":
        """Open the page at its room, or at another path."""
        self.page.goto(self.address + (f"#{self.room}" if path is None else path))
        return self

    def join(self) -> "Tab":
        """Enter the name and join."""
        self.name.fill(self.nick)
        self.join_button.click()
        expect(self.message).to_be_enabled()
        return self

    def enter(self, how: str, password: str = PASSWORD, nick: str | None = None) -> "Tab":
        """Fill in the form for an account, as `Sign in` or `Register`, and press its button."""
        self.page.get_by_role("radio", name=how).check(force=True)
        self.name.fill(nick or self.nick)
        self.password.fill(password)
        self.page.get_by_role("button", name=how, exact=True).click()
        return self

    def register(self) -> "Tab":
        """Open the page, and join its room with a new account."""
        self.open().enter("Register")
        expect(self.title).to_have_text(self.room)
        return self

    def sign_in(self) -> "Tab":
        """Open the page, and join its room with the account."""
        self.open().enter("Sign in")
        expect(self.title).to_have_text(self.room)
        return self

    def choose(self, *names: str) -> None:
        """Open the user's own menu, and choose; then press buttons of these names."""
        self.page.locator("#me").click()
        self.page.get_by_role("menuitem", name=names[0]).click()
        for name in names[1:]:
            self.page.get_by_role("button", name=name, exact=True).click()

    def saved(self) -> dict[str, Any]:
        """Return what the page keeps in the browser."""
        kept: dict[str, str] = self.page.evaluate("({ ...localStorage })")
        return {name.removeprefix("geventchat."): json.loads(text) for name, text in kept.items()}

    def say(self, *texts: str) -> None:
        """Send messages with Enter."""
        for text in texts:
            self.message.fill(text)
            self.message.press("Enter")

    def go(self, room: str) -> None:
        """Join a room, and wait until it is shown."""
        self.say(f"/join {room}")
        expect(self.title).to_have_text(room)

    def article(self, text: str) -> Locator:
        """Return the message that contains a text."""
        return self.articles.filter(has_text=text)

    def expect_texts(self, *texts: str) -> None:
        """Wait until the texts of the messages are these: each once, in this order."""
        expect(self.articles.locator(".text")).to_have_text(texts)

    def retry(self) -> None:
        """Let the browser say that there is a network again: the page waits no longer."""
        self.page.evaluate("dispatchEvent(new Event('online'))")

    def evaluate(self, script: str, *arguments: object) -> Any:
        """Return what a script returns."""
        return self.page.evaluate(script, *arguments)

    def _on_console(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not said.text.startswith(_LOST):
            self.wrong.append(said.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(self.address):
            self.wrong.append(f"request to {request.url}")

    def _on_websocket(self, websocket: WebSocket) -> None:
        if not websocket.url.startswith(self.address.replace("http", "ws", 1)):
            self.wrong.append(f"connection to {websocket.url}")

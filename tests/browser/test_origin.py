"""Who may reach the web door from a browser, and what the page is made of."""

from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door

MOST_BYTES = 80_000
CONNECT = """address => new Promise(resolve => {
  const socket = new WebSocket(address, "geventchat.v1");
  socket.onopen = () => resolve("open");
  socket.onclose = (event) => resolve(`closed with ${event.code}`);
})"""


@pytest.fixture
def elsewhere(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Return an empty page from another port."""
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    files = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        Thread(target=partial(server.serve_forever, poll_interval=0.01)).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        page.close()
        server.shutdown()


def test_a_page_from_another_port_cannot_connect(elsewhere: Page, shared: Door) -> None:
    address = f"{shared.page.replace('http', 'ws', 1)}ws"
    assert elsewhere.evaluate(CONNECT, address) == "closed with 1006"


def test_a_page_that_is_allowed_can_connect(elsewhere: Page, serve: Callable[..., Door]) -> None:
    door = serve("--web-origin", elsewhere.url.rstrip("/"))
    assert elsewhere.evaluate(CONNECT, f"{door.page.replace('http', 'ws', 1)}ws") == "open"


def test_no_page_may_show_the_chat_in_a_frame(elsewhere: Page, shared: Door) -> None:
    said: list[str] = []
    elsewhere.on("console", lambda message: said.append(message.text))
    elsewhere.evaluate(
        "address => new Promise(resolve => {"
        " const frame = document.createElement('iframe');"
        " frame.onload = resolve; frame.src = address; document.body.append(frame); })",
        shared.page,
    )
    assert any("frame-ancestors" in line for line in said)
    (frame,) = elsewhere.frames[1:]
    expect(frame.get_by_role("textbox")).to_have_count(0)


def test_a_name_that_anybody_can_give_to_this_address_is_refused(
    browser: Browser, shared: Door
) -> None:
    page = browser.new_page()
    response = page.goto(shared.page.replace("127.0.0.1", "rebound.test"))
    assert response
    assert response.status == 421
    expect(page.locator("body")).to_contain_text("rebound.test is not a name of this server")
    page.close()


def test_the_whole_page_is_small(open_tab: OpenTab) -> None:
    tab = open_tab("ann")
    with_body: list[Request] = []

    def note(request: Request) -> None:
        with_body.append(request)

    tab.page.on("requestfinished", note)
    tab.open().join()
    sent = {
        request.url: request.sizes()["responseBodySize"]
        for request in with_body
        if request.resource_type != "image"
    }
    assert tab.address in sent
    assert sum(sent.values()) < MOST_BYTES, sent

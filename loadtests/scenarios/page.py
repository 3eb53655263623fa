"""What the page costs its reader, in Debian's Chromium.

    python -m loadtests.scenarios.page [--messages 100000] [--seconds 10] [--history 20000]

Measured are the first paint and the bytes of the page as sent; the frames with 200 messages/s in
view, beside an empty page that appends the same text, in turns; the memory of the tab while very
many messages arrive; and the frames while a person scrolls up through a long history. The exit code
is 1 if a figure is over its bar.
"""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, cycle
from statistics import median
from threading import Event, Thread
from typing import Final

from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    Page,
    Request,
    expect,
    sync_playwright,
)

from loadtests.support.address import Address, free_port
from loadtests.support.arguments import positive, whole
from loadtests.support.command import CannotRun, Parser, command
from loadtests.support.server import geventchat

MOST_PAINT_MS: Final = 300
MOST_BYTES: Final = 80_000
RATE: Final = 200
SLOW_MS: Final = 50
MOST_SLOW_SHARE: Final = 0.05
MOST_SLOW_RATIO: Final = 2
MOST_GROWTH_MB: Final = 2
_PAINTS: Final = 9
_TURNS: Final = 3
_WARM_MESSAGES: Final = 20_000
"""After so many, whatever fills up is full."""
_STEP_MESSAGES: Final = 10_000
_POUR_RATE: Final = 2_000
_SCROLL_SECONDS: Final = 120
_WHEELS: Final = 10
_WHEEL_PIXELS: Final = 400
_TALKERS: Final = 5
_PACE_SECONDS: Final = 0.01
_visits: Final = count(1)
_WORDS: Final = "what somebody says takes about as many words as this does, often fewer".split()

_FIRST_PAINT: Final = """() => new Promise((resolve) =>
  new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime))
    .observe({ type: "paint", buffered: true }))"""
_RECORD_FRAMES: Final = """() => {
  window.frames_ms = [];
  let before = performance.now();
  const frame = (now) => {
    frames_ms.push(now - before);
    before = now;
    window.recording = requestAnimationFrame(frame);
  };
  window.recording = requestAnimationFrame((now) => {
    before = now;
    window.recording = requestAnimationFrame(frame);
  });
}"""
_FRAMES: Final = "() => { cancelAnimationFrame(window.recording); return window.frames_ms; }"

_OLDEST: Final = """() => {
  const [oldest] = document.querySelectorAll("[role=log] article");
  return Number(/number (\\d+),/.exec(oldest.textContent)[1]);
}"""

_APPEND: Final = """() => new Promise((resolve) => {
  document.body.replaceChildren();
  const socket = new WebSocket(`ws://${location.host}/ws`, "geventchat.v1");
  let scrolling = null;
  const key = String(Math.random()).padEnd(20, "0").slice(2, 20);
  socket.onopen = () => socket.send(
    JSON.stringify({ type: "hello", version: 1, client: key, nonce: key }));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "ping") socket.send('{"type":"pong"}');
    if (event.type === "joined") resolve();
    if (event.type !== "post") return;
    const line = document.createElement("p");
    line.textContent = `${event.author}: ${event.text}`;
    document.body.append(line);
    scrolling ??= requestAnimationFrame(() => {
      scrolling = null;
      scrollTo(0, document.documentElement.scrollHeight);
    });
  };
})"""


def main() -> int:
    """Measure, print; return the exit code."""
    parser = Parser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--messages", type=whole(2 * _WARM_MESSAGES), default=100_000)
    parser.add_argument("--seconds", type=positive, default=10.0)
    parser.add_argument("--history", type=whole(1_000), default=20_000)
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise CannotRun("Chromium is missing: apt-get install chromium")
    door = f"127.0.0.1:{free_port()}"
    url = f"http://{door}/"
    with (
        geventchat("--web", door) as server,
        sync_playwright() as playwright,
    ):
        options = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        within = [
            first_paint(browser, url),
            frames(browser, url, server.address, asked.seconds),
            memory(browser, url, server.address, asked.messages),
            scrolling(browser, url, asked.history),
        ]
        browser.close()
    return int(not all(within))


def first_paint(browser: Browser, url: str) -> bool:
    """Open the page as new visitors do; print how soon they see it, and its size."""
    times: list[float] = []
    for _ in range(_PAINTS):
        with visitor(browser) as context:
            page = context.new_page()
            files: list[Request] = []

            def note(request: Request, files: list[Request] = files) -> None:
                if request.resource_type != "image":
                    files.append(request)

            page.on("requestfinished", note)
            page.goto(url)
            times.append(page.evaluate(_FIRST_PAINT))
            page.wait_for_load_state("networkidle")
            size = sum(each.sizes()["responseBodySize"] for each in files)
    print(f"first paint: {median(times):.0f} ms, {max(times):.0f} at most of {_PAINTS} visits")
    print(f"the page as sent: {size:,} bytes in {len(files)} files, images apart", flush=True)
    return median(times) < MOST_PAINT_MS and size < MOST_BYTES


def frames(browser: Browser, url: str, address: Address, seconds: float) -> bool:
    """Show messages at a rate, in the page and in an empty one by turns; print their frames."""
    with visitor(browser) as context, visitor(browser) as beside:
        page, empty = joined(context, url), empty_page(beside, url)
        measured: dict[Page, list[float]] = {page: [], empty: []}
        for _ in range(_TURNS):
            for each, times in measured.items():
                each.bring_to_front()
                with talking(address, RATE):
                    each.wait_for_timeout(500)
                    times.extend(recorded(each, seconds))
    slow = {}
    for name, times in zip(("page", "empty page"), measured.values(), strict=True):
        slow[name] = described(f"{RATE} messages/s in view, {name}", times)
    allowed = max(MOST_SLOW_RATIO * slow["empty page"], 0.001)
    return slow["page"] < MOST_SLOW_SHARE and slow["page"] <= allowed


def memory(browser: Browser, url: str, address: Address, messages: int) -> bool:
    """Let very many messages arrive; print the memory of the tab on the way."""
    with visitor(browser) as context:
        page = joined(context, url)
        session = context.new_cdp_session(page)
        session.send("Performance.enable")
        warm = 0.0
        for number in range(0, messages + 1, _STEP_MESSAGES):
            if number:
                pour(address, range(number - _STEP_MESSAGES + 1, number + 1))
                last = page.get_by_role("log").get_by_text(f"number {number},")
                expect(last).to_be_visible(timeout=60_000)
            megabytes, nodes = used(session)
            print(f"after {number:,} messages: {megabytes:.1f} MB, {nodes:,} nodes", flush=True)
            if number == _WARM_MESSAGES:
                warm = megabytes
    print(f"growth from {_WARM_MESSAGES:,} to {messages:,} messages: {megabytes - warm:.1f} MB")
    return megabytes - warm < MOST_GROWTH_MB


def scrolling(browser: Browser, url: str, history: int) -> bool:
    """Scroll up through a room of very many messages; print the frames."""
    with visitor(browser) as context:
        page = joined(context, url)
        page.get_by_role("log").hover()
        newest = oldest = page.evaluate(_OLDEST)
        page.evaluate(_RECORD_FRAMES)
        end = time.monotonic() + _SCROLL_SECONDS
        while newest - oldest < history and time.monotonic() < end:
            for _ in range(_WHEELS):
                page.mouse.wheel(0, -_WHEEL_PIXELS)
            oldest = page.evaluate(_OLDEST)
        times = page.evaluate(_FRAMES)
    slow = described(f"scrolling up through {newest - oldest:,} messages", times)
    return slow < MOST_SLOW_SHARE and newest - oldest >= history


@contextmanager
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """Yield a browser of somebody who has never been here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    context.close()


def joined(context: BrowserContext, url: str) -> Page:
    """Return the page in the lobby."""
    page = context.new_page()
    page.goto(url)
    page.get_by_role("textbox", name="Name", exact=True).fill(f"reader-{next(_visits)}")
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page.get_by_role("navigation", name="Rooms")).to_contain_text("lobby")
    return page


def empty_page(context: BrowserContext, url: str) -> Page:
    """Return an empty page in the lobby, which appends what it receives."""
    page = context.new_page()
    page.goto(f"{url}healthz")  # a page of that server: others may not connect
    page.evaluate(_APPEND)
    return page


@contextmanager
def talking(address: Address, rate: float) -> Iterator[None]:
    """Let some plain clients talk in the lobby by turns, until the block ends."""
    over = Event()

    def talk() -> None:
        began = time.monotonic()
        sent = 0
        sockets = [socket.create_connection(address) for _ in range(_TALKERS)]
        turns = cycle(sockets)
        while not over.wait(_PACE_SECONDS):
            while sent < (time.monotonic() - began) * rate:
                sent += 1
                next(turns).sendall(f"{sent}: {_text(sent)}\0".encode())
        for each in sockets:
            each.close()

    talker = Thread(target=talk)
    talker.start()
    try:
        yield
    finally:
        over.set()
        talker.join()


def pour(address: Address, numbers: range) -> None:
    """Send messages to the lobby, as many in a second as the bar of one busy room."""
    with socket.create_connection(address) as talker:
        began = time.monotonic()
        for sent, number in enumerate(numbers):
            if (early := sent / _POUR_RATE - (time.monotonic() - began)) > _PACE_SECONDS:
                time.sleep(early)
            talker.sendall(f"number {number}, {_text(number)}\0".encode())
        talker.shutdown(socket.SHUT_WR)
        while talker.recv(65_536):
            pass


def _text(number: int) -> str:
    """Return a text, of another length each time."""
    return " ".join(_WORDS[: 3 + number % len(_WORDS)])


def recorded(page: Page, seconds: float) -> list[float]:
    """Return how long each frame took, in ms."""
    page.evaluate(_RECORD_FRAMES)
    page.wait_for_timeout(1_000 * seconds)
    times: list[float] = page.evaluate(_FRAMES)
    return times


def described(what: str, times: list[float]) -> float:
    """Print the times of frames in ms; return the share of slow ones."""
    times = sorted(times)
    slow = sum(each > SLOW_MS for each in times)
    p95 = times[int(0.95 * len(times))]
    print(f"{what}: {len(times):,} frames, p95 {p95:.0f} ms, max {times[-1]:.0f} ms, "
          f"{slow} over {SLOW_MS} ms ({slow / len(times):.1%})", flush=True)  # fmt: skip
    return slow / len(times)


def used(session: CDPSession) -> tuple[float, int]:
    """Collect the garbage of a tab; return its JavaScript memory in MB, and its nodes."""
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    by_name = {each["name"]: each["value"] for each in metrics}
    return by_name["JSHeapUsedSize"] / 1e6, int(by_name["Nodes"])


if __name__ == "__main__":
    command("page", main)

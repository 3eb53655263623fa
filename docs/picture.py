"""Draws docs/terminal.svg: the real terminal client, connected to a real server.

python docs/picture.py
"""

import os
import sys
import time
from html import escape
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pyte

from geventchat.client import Connection

COLUMNS, LINES = 84, 15
CELL_WIDTH, CELL_HEIGHT = 8.4, 18
GEVENTCHAT = [sys.executable, "-m", "geventchat"]
BACKGROUND, FOREGROUND = "#16181d", "#d8dbe2"
COLORS = {
    "default": FOREGROUND, "black": "#5b616e", "red": "#e5737b", "green": "#8fc97a",
    "brown": "#dcb86a", "blue": "#6fa8ee", "magenta": "#c58be0", "cyan": "#63c3cf",
    "white": "#c9ccd3", "brightblack": "#7d8492",
}  # fmt: skip


class Screen(pyte.Screen):
    """A screen that answers queries for the cursor's position."""

    process: pexpect.spawn

    def write_process_input(self, data: str) -> None:
        self.process.send(data)


def play(port: str) -> Screen:
    """Let three clients talk, one of them in a terminal; return the screen of that one."""
    screen = Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    options = ["connect", f":{port}", "--nick", "ann", "--room", "lobby", "--room", "release"]
    environment = os.environ | {"TERM": "xterm-256color"}
    terminal = screen.process = pexpect.spawn(
        GEVENTCHAT[0], GEVENTCHAT[1:] + options, env=environment, dimensions=(LINES, COLUMNS)
    )

    def watch(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                stream.feed(terminal.read_nonblocking(65_536, timeout=0.1))
            except pexpect.TIMEOUT:
                continue

    rooms = ("lobby", "release")
    watch(1)
    with (
        Connection("127.0.0.1", int(port), nick="Börje", rooms=rooms) as borje,
        Connection("127.0.0.1", int(port), nick="mei", rooms=rooms) as mei,
    ):
        borje.say("lobby", "morning! the nightly load test is green: 10.0 M deliveries/s")
        mei.say("lobby", "早上好 🎉 with every post on disk first?")
        borje.say("lobby", "every one. fsync before anyone sees it")
        watch(0.5)
        terminal.send("and one core, still?\r")
        watch(0.5)
        mei.say("lobby", "ann: one core. kill -9 hit it twice, nothing was lost")
        mei.say("release", "0.1.0 is tagged")
        borje.say("lobby", "\x1b[31mescape codes\x1b[0m from strangers stay inert, by the way")
        watch(0.5)
        terminal.send("/who\r")
        watch(0.5)
        terminal.send("shipping it then")
        watch(0.7)
    terminal.close(force=True)
    return screen


def color(name: str) -> str:
    """Return a colour for SVG; pyte has names, or six hexadecimal digits."""
    return COLORS.get(name, f"#{name}" if len(name) == 6 else FOREGROUND)


def draw(screen: Screen) -> str:
    """Return the picture of a screen as SVG."""
    width, height = COLUMNS * CELL_WIDTH + 24, LINES * CELL_HEIGHT + 24
    shapes = [f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>']
    for row in range(LINES):
        y = 12 + row * CELL_HEIGHT
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            x = 12 + column * CELL_WIDTH
            front, back = color(cell.fg), COLORS.get(cell.bg) and color(cell.bg)
            if cell.bg == "default":
                back = None
            if cell.reverse:
                front, back = back or BACKGROUND, front
            if back:
                shapes.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}"'
                    f' fill="{back}"/>'
                )
            if cell.data.strip():
                weight = ' font-weight="bold"' if cell.bold else ""
                shapes.append(
                    f'<text x="{x:.1f}" y="{y + 13}" fill="{front}"{weight}>'
                    f"{escape(cell.data)}</text>"
                )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        ' font-family="ui-monospace, Menlo, DejaVu Sans Mono, monospace" font-size="14">'
        "<title>The terminal client of geventchat</title>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def main() -> None:
    """Start a server, play, draw."""
    serve = pexpect.spawn(
        GEVENTCHAT[0], [*GEVENTCHAT[1:], "serve", "--port", "0", "--timeline", "memory:"]
    )
    serve.expect(r"listening on 127\.0\.0\.1:(\d+)")
    picture = draw(play(serve.match[1].decode()))
    serve.close(force=True)
    Path(__file__).with_name("terminal.svg").write_text(picture, "utf-8")


if __name__ == "__main__":
    main()

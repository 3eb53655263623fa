"""The result as a sentence, a table, and a page with a chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from loadtests.capacity.climb import Step

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 320, 56, 36, 20
_BLUE, _GREY, _RED = "#2563eb", "#64748b", "#dc2626"
HEADING: Final = ("users", "p50 ms", "p99 ms", "failures", "missing", "server CPU %", "server MB",
                  "load CPU %")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """The number of users, the load, and the bottleneck."""

    users: int
    room_size: int
    talkers: int
    """Per room."""
    talk_seconds: float
    bound_ms: float
    limited_by: str
    steps: Sequence[Step]
    """Steps of the search."""
    confirmed: Sequence[Step]
    """Steps of the confirmation."""
    command: str
    at_least: bool = False
    """Whether something else than the server ended the search."""
    who: str = "users"

    def heading(self) -> str:
        """Return the number of users in words."""
        return f"{'at least ' if self.at_least and self.users else ''}{self.users:,} {self.who}"

    def sentence(self) -> str:
        """Return the result as a sentence."""
        chat = (
            f"in rooms of {self.room_size}, {self.talkers} of each talking once in "
            f"{self.talk_seconds:g} s"
        )
        if not self.users:
            steps = [*self.steps, *self.confirmed]
            fewest = min(step.users for step in steps if not step.good(self.bound_ms))
            if self.at_least:
                return f"{fewest:,} {self.who} {chat} could not be measured: {self.limited_by}."
            return f"This machine does not support {fewest:,} {self.who} {chat}: {self.limited_by}."
        delivered = f"with 99 % of messages delivered within {self.bound_ms:g} ms and none lost"
        return f"This machine supports {self.heading()} {chat}, {delivered}: {self.limited_by}."


def table(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Return a row of texts for each step."""
    return [
        (
            f"{step.users:,}",
            _format(step.p50_ms, 1),
            _format(step.p99_ms, 1),
            f"{step.failures:,}",
            f"{step.missing:,}",
            _format(step.server_cpu, 0),
            _format(step.server_mb, 0),
            _format(step.load_cpu, 0),
        )
        for step in steps
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines with right-aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def page(finding: Finding) -> str:
    """Return a self-contained page."""
    tables = "".join(
        f"<h2>{title}</h2>\n<table>\n{_html([HEADING, *table(steps)])}</table>\n"
        for title, steps in (
            ("Search", finding.steps), ("Confirmation on a fresh server", finding.confirmed)
        )
        if steps
    )  # fmt: skip
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Capacity of a geventchat server</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 760px; margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; }} th, td {{ text-align: right; padding: 2px 10px; }}
th {{ border-bottom: 1px solid {_GREY}; font-weight: normal; color: {_GREY}; }}
</style>
<h1>{finding.heading().capitalize()}</h1>
<p>{escape(finding.sentence())}</p>
{chart(finding)}
{tables}<p>p50 and p99: delivery latency, from sending until another user has the message; median of
all seconds. CPU: percent of one core. Written by <code>{escape(finding.command)}</code>.</p>
</html>
"""


def chart(finding: Finding) -> str:
    """Return latency and the server's CPU over the number of users, as an SVG."""
    steps = sorted(finding.steps, key=lambda step: step.users)
    most = max(step.users for step in steps)
    late = max(finding.bound_ms * 1.5, 1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="100%" font-family="sans-serif" font-size="12">',
        f'<text x="{_LEFT}" y="12" fill="{_BLUE}">delivery p99, ms</text>',
        f'<text x="{_WIDTH - _LEFT}" y="12" text-anchor="end" fill="{_GREY}">'
        "server CPU, % of a core</text>",
    ]

    def x(users: float) -> float:
        return _LEFT + (_WIDTH - 2 * _LEFT) * users / most

    def y(share: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * min(share, 1.0)

    for part in range(5):
        at, height = most * part / 4, y(part / 4)
        lines += [
            f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{height:.0f}" y2="{height:.0f}" '
            'stroke="#e2e8f0"/>',
            f'<text x="{_LEFT - 6}" y="{height + 4:.0f}" text-anchor="end" fill="{_BLUE}">'
            f"{late * part / 4:.0f}</text>",
            f'<text x="{_WIDTH - _LEFT + 6}" y="{height + 4:.0f}" fill="{_GREY}">'
            f"{25 * part}</text>",
            f'<text x="{x(at):.0f}" y="{_HEIGHT - 14}" text-anchor="middle">{at:,.0f}</text>',
        ]
    bound = y(finding.bound_ms / late)
    lines.append(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{bound:.0f}" y2="{bound:.0f}" '
        f'stroke="{_RED}" stroke-dasharray="4 4"/>'
    )
    lines += _curve([(x(s.users), y(s.server_cpu / 100)) for s in steps if s.server_cpu], _GREY)
    lines += _curve([(x(s.users), y(s.p99_ms / late)) for s in steps if s.p99_ms], _BLUE)
    lines.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 1}" text-anchor="middle">users</text></svg>'
    )
    return "\n".join(lines)


def _curve(points: list[tuple[float, float]], colour: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points),
    ]


def _html(rows: Sequence[Sequence[str]]) -> str:
    return "".join(
        f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>\n"
        for tag, row in zip(["th", *["td"] * len(rows)], rows, strict=False)
    )


def _format(figure: float | None, digits: int) -> str:
    return "-" if figure is None else f"{figure:,.{digits}f}"

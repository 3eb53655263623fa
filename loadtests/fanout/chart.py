"""The figures as bar charts in SVG, one small panel per question."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from loadtests.fanout.report import Outcome, short
from loadtests.fanout.work import Figures, Work

_NAME, _BAR, _VALUE, _ROW, _HEAD, _GAP = 174, 150, 112, 20, 62, 22
"""Widths of a panel's parts and heights of its rows, in pixels."""
_ACROSS = 2
_LEGEND = (
    "Pale: less than 99 % of the expected deliveries arrived.",
    "+: the load generator was saturated, so the server may do better.",
)
_OURS, _OTHERS, _FADED = "#2563eb", "#64748b", "0.35"


@dataclass(frozen=True)
class Panel:
    """One figure of all servers at one work."""

    work: Work
    figure: str
    """A field of Figures."""
    title: str
    better: str
    """`longer` or `shorter`, as bars go."""
    logarithmic: bool = False


PANELS = (
    Panel(Work(1_000, 10_000), "deliveries_per_second", "Deliveries per second", "longer"),
    Panel(Work(1_000, 1_000), "p99_ms", "p99 in ms, logarithmic", "shorter", True),
    Panel(Work(1_000, 100), "cpu_us", "CPU µs per delivery", "shorter"),
    Panel(Work(1_000, 100), "idle_kb", "KB per idle client", "shorter"),
    Panel(Work(10_000, 100), "deliveries_per_second", "Deliveries per second", "longer"),
    Panel(Work(10, 20_000, rooms=200), "cpu_us", "CPU µs per delivery", "shorter"),
)


def draw(results: Mapping[Work, Mapping[str, Outcome]], panels: Sequence[Panel] = PANELS) -> str:
    """Return the SVG of the panels whose work was measured."""
    panels = [panel for panel in panels if panel.work in results]
    rows = max((len(results[panel.work]) for panel in panels), default=0)
    across, down = _NAME + _BAR + _VALUE + _GAP, _HEAD + rows * _ROW + _GAP
    width = across * min(_ACROSS, len(panels)) + _GAP
    height = down * math.ceil(len(panels) / _ACROSS) + _GAP + 32
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        left, top = _GAP + number % _ACROSS * across, _GAP / 2 + number // _ACROSS * down
        drawn.append(f'<g transform="translate({left} {top})">')
        drawn.extend(_panel(panel, results[panel.work]))
        drawn.append("</g>")
    for line, text in enumerate(_LEGEND):
        y = height - 14 - 16 * (len(_LEGEND) - 1 - line)
        drawn.append(f'<text x="{_GAP}" y="{y}" fill="{_OTHERS}">{escape(text)}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def _panel(panel: Panel, outcomes: Mapping[str, Outcome]) -> list[str]:
    values = {
        name: getattr(seen, panel.figure)
        for name, seen in outcomes.items()
        if isinstance(seen, Figures) and math.isfinite(getattr(seen, panel.figure))
    }
    most = max(values.values(), default=1.0)
    lines = [
        f'<text y="18" font-size="14" font-weight="bold">{escape(panel.title)}</text>',
        f'<text y="36" fill="{_OTHERS}">{escape(str(panel.work))}; {panel.better} is better</text>',
    ]
    for row, (name, seen) in enumerate(outcomes.items()):
        middle = _HEAD - 6 + row * _ROW
        colour = _OURS if name.startswith("geventchat") else _OTHERS
        lines.append(
            f'<text x="{_NAME - 8}" y="{middle}" text-anchor="end" fill="{colour}">'
            f"{escape(name)}</text>"
        )
        if name not in values or not isinstance(seen, Figures):
            said = seen if isinstance(seen, str) and len(seen) < 40 else "failed"
            lines.append(f'<text x="{_NAME}" y="{middle}" fill="{_OTHERS}">{escape(said)}</text>')
            continue
        length = max(1.5, _BAR * _part(values[name], most, logarithmic=panel.logarithmic))
        pale = f' fill-opacity="{_FADED}"' if seen.arrived < 0.99 else ""
        told = short(values[name]) + (" +" if seen.load_saturated else "")
        if seen.arrived < 0.99:
            told += f", {seen.arrived:.0%} arrived"
        lines.append(
            f'<rect x="{_NAME}" y="{middle - 11}" width="{length:.1f}" height="14" rx="2" '
            f'fill="{colour}"{pale}/>'
        )
        lines.append(f'<text x="{_NAME + length + 6:.1f}" y="{middle}">{escape(told)}</text>')
    return lines


def _part(value: float, most: float, *, logarithmic: bool) -> float:
    """Return the length of a bar as a share of the longest."""
    if not logarithmic:
        return max(0.0, value / most)
    return math.log10(max(value, 1.0)) / math.log10(max(most, 10.0))

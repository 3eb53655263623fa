"""How many columns texts take, and what of them fits."""

from prompt_toolkit.utils import get_cwidth

from geventchat.client.terminal.formatting import Line


def fit(line: Line, width: int) -> Line:
    """Return the pieces that fit a width in columns, and `…` if there are more.

    A piece is left out whole, since half a number would be wrong; only the first is cut.
    """
    if sum(get_cwidth(text) for _, text in line) < width:  # the last column is left empty
        return line
    fitting: Line = []
    left = width - 3  # of ` …` and the last column
    for style, text in line:
        left -= get_cwidth(text)
        if left < 0:
            if not fitting:
                fitting.append((style, _cut(text, width - 3)))
            break
        fitting.append((style, text))
    return [*fitting, ("", " …")]


def _cut(text: str, width: int) -> str:
    while text and get_cwidth(text) > width:
        text = text[:-1]
    return text

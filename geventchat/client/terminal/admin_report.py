"""The result of an operator action as text, for the terminal and the command line."""

from collections.abc import Iterator
from typing import Final

from geventchat.client.terminal.formatting import local_time
from geventchat.protocol.events import Admin, Rule

_REMOVING: Final = {"unban", "unmute", "unlock", "unfreeze", "open"}


def report(done: Admin) -> Iterator[str]:
    """Yield the lines for a completed action."""
    if done.action == "list" and not done.rules:
        yield "no rules are in force"
    for rule in done.rules:
        yield f"removed: {_rule(rule)}" if done.action in _REMOVING else _rule(rule)
    if len(done.rules) < done.total and done.action == "list":
        yield f"and {done.total - len(done.rules):,} older rules"
    if done.action == "end":
        yield "the private room has ended: nobody is in it any more, and nobody can join"
    if done.connections_closed or done.action in ("kick", "ban"):
        yield f"connections closed: {done.connections_closed:,}"
    if done.note is not None:
        yield done.note


def _rule(rule: Rule) -> str:
    until = "undone"
    if rule.until is not None:
        until = f"{local_time(rule.until).astimezone():%Y-%m-%d %H:%M %Z}"
    reason = f": {rule.reason}" if rule.reason else ""
    what = " ".join(word for word in (rule.action, rule.target_type, rule.target) if word)
    return f"{what} until {until}, by {rule.operator}{reason}"

"""What operators are told of what they did, in the terminal and on the command line."""

from collections.abc import Iterator
from typing import Final

from geventchat.client.screen import moment
from geventchat.protocol.events import Admin, Rule

_LIFTING: Final = {"unban", "unmute", "unlock", "thaw", "open"}


def told(done: Admin) -> Iterator[str]:
    """Yield the lines for what was done."""
    if done.act == "list" and not done.rules:
        yield "no rules are in force"
    for rule in done.rules:
        yield f"lifted: {_rule(rule)}" if done.act in _LIFTING else _rule(rule)
    if len(done.rules) < done.count and done.act == "list":
        yield f"and {done.count - len(done.rules):,} older ones"
    if done.ended or done.act == "kick":
        yield f"connections ended: {done.ended:,}"


def _rule(rule: Rule) -> str:
    until = f" until {moment(rule.until):%Y-%m-%d %H:%M}" if rule.until is not None else ""
    reason = f": {rule.reason}" if rule.reason else ""
    what = " ".join(word for word in (rule.effect, rule.by, rule.whom) if word)
    return f"{what}, by {rule.author}{until}{reason}"

"""Webhooks as text, for the terminal and the command line."""

from collections.abc import Iterator

from geventchat.client.terminal.formatting import local_time
from geventchat.protocol.events import Hook, Hooks
from geventchat.protocol.requests import HookAction


def report(action: HookAction, done: Hooks) -> Iterator[str]:
    """Yield the lines for what was made, listed or revoked."""
    if not done.hooks:
        yield "no webhooks"
    for hook in done.hooks:
        if action == "add":
            yield f"webhook {hook.id} posts into {hook.room}; its address is shown only now:"
            yield f"curl -d 'build is green' {hook.url}"
        else:
            yield f"revoked: {_hook(hook)}" if action == "revoke" else _hook(hook)


def _hook(hook: Hook) -> str:
    made = f"{local_time(hook.created).astimezone():%Y-%m-%d %H:%M %Z}"
    return f"{hook.id} posts into {hook.room}, made by {hook.by} at {made}"

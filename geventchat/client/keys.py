"""Keys of messages: random, and in the order of time.

A server on SQLite finds a repetition by an index that begins with the key. Keys that were made at
the same time are neighbours there: the messages of a commit share a page.
"""

import secrets
import time


def new_key() -> str:
    """Return a key of 22 characters that no other message of a client has. Never waits."""
    return f"{time.time_ns() // 1_000_000:x}{secrets.token_urlsafe(8)}"

"""What the parts of the work cost, as measured: the input of the simulation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """CPU in microseconds unless said otherwise; the defaults are measured, see docs/scaling.md.

    `python -m tests.server.timeline.redis.costs` measures all of the engine's and the node's.
    """

    turn: float = 260.0
    """Of the engine, for a turn without its messages: the script, the entry of the feed, the
    answer."""
    message: float = 11.5
    """Of the engine, for each message of a turn."""
    wake: float = 22.0
    """Of the engine, for an answer to one node that waits for the feed, and its next question,"""
    heard: float = 0.25
    """and for each message in it."""
    beat: float = 600.0
    """Of the engine, for the beat of a node."""
    submit: float = 200.0
    """Of a node, for a turn without its messages,"""
    say: float = 2.0
    """and for each message of a turn,"""
    hear: float = 2.0
    """and for each message that it hears."""
    fsync: float = 500.0
    """Time until what was written is on disk, in microseconds; the engine waits for it."""
    network: float = 100.0
    """Time of a packet from a node to the engine, or back, in microseconds."""
    message_bytes: int = 260
    """Of a message on its way to a node, with 100 characters of text."""
    entry_bytes: int = 120
    """Of an entry of the feed, without its messages."""

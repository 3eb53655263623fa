"""What a user reads when the connection ends and comes back.

A server that another one replaces at once, such as a worker, is not mentioned at all.
"""

from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line
from geventchat.protocol.errors import SHUTDOWN
from geventchat.protocol.events import Bye


class Outage:
    """The time from the end of a connection to the next one. Methods return lines to print."""

    def __init__(self) -> None:
        self._unprinted = ""
        """What the server said when it shut down, until it is printed or another took over."""

    def begin(self, bye: Bye) -> list[Line]:
        """Print why the connection has ended, unless another server may take over."""
        if bye.code != SHUTDOWN.code:
            return [formatting.error(bye.text)]
        self._unprinted = bye.text
        return []

    def last(self) -> list[Line]:
        """Print that the server was shut down, if it was: no other has taken over at once."""
        text, self._unprinted = self._unprinted, ""
        return [formatting.error(text)] if text else []

    def end(self) -> list[Line]:
        """Print that the connection is back, unless nothing was printed before."""
        quiet, self._unprinted = bool(self._unprinted), ""
        return [] if quiet else [formatting.notice("reconnected")]

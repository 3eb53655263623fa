"""Timeouts: a session ends if its client says no hello, leaves a frame incomplete, or is silent."""

from abc import ABC, abstractmethod
from dataclasses import replace

from geventchat.config import Limits
from geventchat.protocol import events, frames
from geventchat.protocol.errors import IDLE, Reason
from geventchat.server.session.sender import Sender
from geventchat.server.transport.base import Link


class Timeouts(Sender, ABC):
    """The part of a session that ends it when its client takes too long. Nothing here waits."""

    __slots__ = ("_pinged", "limits", "locked_out")

    def __init__(self, link: Link, limits: Limits) -> None:
        super().__init__(link, limits.outbox_bytes, self.end)
        self._pinged = False
        self.limits = limits
        self.locked_out: Reason | None = None
        """Why it is a member of nothing before its hello is answered; None: it was admitted."""

    @abstractmethod
    def end(self, reason: Reason) -> None:
        """End the session for this reason."""

    def tick(self, now: float) -> None:
        """End the session if a frame stays incomplete; ping a silent client. Never waits."""
        if self.link.begun and self.link.listening:
            seconds = self.limits.frame_seconds
            if now - self.link.begun >= seconds:
                text = f"Message not completed within {seconds} seconds."
                if not self.form.rich:
                    text = f"{text} {frames.NULL_HINT}"
                self.end(replace(IDLE, text=text))
        if self.form.rich:
            self._ping(now)

    def _ping(self, now: float) -> None:
        silent = now - self.link.heard
        if silent < self.limits.ping_seconds:
            self._pinged = False
        elif not self.link.listening:  # the server itself does not read: the clock stands still
            self.link.heard = now
        elif not self._pinged:
            self._pinged = True
            self.answer(events.Ping())
        elif silent >= 2 * self.limits.ping_seconds:
            self.end(IDLE)

    def owes_hello(self) -> Reason | None:
        """Return why it ends if no hello comes; None: it owes none."""
        if not self.link.hello_first:
            return None
        return replace(IDLE, text=f"No hello within {self.limits.hello_seconds} seconds.")

    def end_locked_out(self) -> None:
        """End the session if it was not admitted until now."""
        if self.locked_out is not None:
            self.end(self.locked_out)

"""What a session needs of its link, and what a link is made of: a framing over a stream."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

from geventchat.protocol.errors import Reason
from geventchat.server.transport.outbox import Outbox, Sink
from geventchat.server.transport.token_bucket import TokenBucket
from geventchat.server.wire import Form


class SilentClient(ConnectionError):
    """The client hung up without having sent anything, as a health check does."""


class PagesOnly(ConnectionError):
    """The client asked for pages, and for no more."""


class Client(NamedTuple):
    """Who is at the other end of a connection."""

    address: str
    """Its host, without a port."""
    port: int
    anonymous: bool = False
    """Whether these are those of a proxy, which did not name the client."""
    forwards: bool = False
    """Whether it is a proxy that names clients in its requests."""


class Link(Protocol):
    """A session's way to its client, whichever door the client came through."""

    address: str
    """The client's host, without a port."""
    anonymous: bool
    """Whether that is a proxy's, which did not name the client: it is never trusted."""
    forwards: bool
    """Whether it is of a proxy that names a client in each request."""
    visited: Callable[[], None] | None
    """Called in `open` when a proxy has named the client of a request, before that is answered."""
    door: str
    """The name of the door."""
    heard: float
    """When bytes last came, by the monotonic clock; 0: none ever did."""
    begun: float
    """When the incomplete frame began, by the same clock; 0: there is none."""
    pace: TokenBucket | None
    """How quickly the client may speak; None: without a limit."""
    listening: bool
    """Whether the session waits for the client, and not the client for the session."""
    at_once: Callable[[bytes], bool] | None
    """Takes a frame while `frames` waits, unless that may have to wait; returns whether it did.

    Called in the event loop's own greenlet. None: `frames` yields all.
    """

    @property
    def peer(self) -> str:
        """Host and port, for logs."""

    @property
    def form(self) -> Form:
        """The wire form of its rich clients."""

    @property
    def hello_first(self) -> bool:
        """Whether its clients are rich, and members of nothing before hello."""

    @property
    def sink(self) -> Sink:
        """The sending side, for the outbox."""

    def open(self, seconds: float) -> None:
        """Shake hands where stream or framing ask for that, if that was not done yet. Waits.

        `seconds`: the time for each step. Raises OSError: SilentClient if the client did not even
        begin to, PagesOnly if it needed no session.
        """

    def open_stream(self, seconds: float) -> None:
        """Shake hands as far as the stream asks for that. Waits. Raises OSError.

        Enough for `reject`.
        """

    def frames(self, outbox: Outbox) -> Iterator[bytes]:
        """Yield the frames as they arrive, none of them empty, until the client sends no more.

        Replies of the framing itself leave through the outbox. Waits. Raises ProtocolError with
        the reason that ends the connection.
        """

    def wake(self) -> None:
        """Have `frames` yield an empty frame before it waits the next time. Never waits."""

    def drain(self) -> None:
        """End `frames` once it has yielded what has arrived so far. Never waits."""

    def farewell(self, reason: Reason) -> bytes:
        """Encode the last words to a client that has not said hello."""

    def end(self, reason: Reason) -> bytes:
        """Encode what the framing ends with, after the last words."""

    def reject(self, reason: Reason) -> None:
        """Send a client without a session why it is rejected. Never waits. Raises OSError."""

    def close(self, seconds: float) -> None:
        """End sending, read on up to `seconds` so that the last words arrive, close. Waits."""


class Stream(Sink, Protocol):
    """Bytes in both directions, over a socket that it owns. `offer` and `send` are a Sink's."""

    readable: Any
    """The watcher to wait for before `recv`."""

    @property
    def ended(self) -> bool:
        """Whether the client has ended its side though the socket need not become readable."""

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what the socket takes at once; return the number of bytes. Never waits.

        Raises OSError.
        """

    def open(self, misplaced: Callable[[bytes], bytes]) -> None:
        """Shake hands. Waits without a limit. Raises OSError.

        A client that does not is answered with what `misplaced` makes of its first bytes.
        """

    def recv(self) -> bytes:
        """Read what has arrived; nothing at the end. Never waits.

        Raises OSError, and BlockingIOError if there is nothing yet.
        """

    def unread(self) -> int:
        """Count the bytes that have arrived and were not read. Never waits."""

    def close(self, seconds: float) -> None:
        """End sending, read on to the end for up to `seconds`, close. Waits."""


class Ways(NamedTuple):
    """How to connect, for the answer to a client on the wrong port."""

    command: str
    """What connects to the chat port."""
    port: int
    """The chat port."""
    page: str | None
    """The address of the page; None: it is disabled."""


class Framings(Protocol):
    """Makes the framings of a door."""

    @property
    def doors(self) -> tuple[str, str]:
        """The names of the door: without TLS, with TLS."""

    def __call__(self, frame_bytes: int, ways: Ways) -> "Framing":
        """Return the framing of a connection. `frame_bytes`: the largest frame."""


class Framing(Protocol):
    """Cuts one connection's bytes into frames, and knows how its clients are spoken to.

    Nothing here waits.
    """

    form: ClassVar[Form]
    """The wire form of its rich clients."""
    overhead: ClassVar[int]
    """The least number of bytes that a frame adds to its content."""
    hello_first: ClassVar[bool]
    """Whether its clients are rich, and say hello without U+001E before anything else."""
    skipped: int
    """Frames in the last bytes fed that have nothing for the session: empty or control frames."""
    ended: bool
    """Whether the client has said that it sends no more."""
    named: Callable[[Client | None], None] | None
    """Called in `feed`, before a request is answered, with the client that a proxy names; None: the
    other end is no proxy."""

    task: Callable[[Client], None] | None
    """What to do before `replies` when `feed` has yielded `b""`; None: nothing. It waits."""

    @property
    def held(self) -> bytes | None:
        """The first bytes, while more may show that they are of another protocol; None: decided."""

    @property
    def opening(self) -> bool:
        """Whether its own handshake is still incomplete: until then it yields no frame."""

    @property
    def begun(self) -> bool:
        """Whether a frame is incomplete."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that these bytes complete, and `b""` where others may have their turn.

        Raises ProtocolError with the reason that ends the connection.
        """

    def single(self, data: bytes) -> bytes:
        """Return the frame that these bytes are, no more and no less; nothing if they are not.

        Leaves no trace: the same bytes may be fed afterwards. May return nothing for any bytes.
        """

    def release(self) -> Iterator[bytes]:
        """Yield the frames of what is `held`, because nothing more came."""

    def replies(self) -> bytes:
        """Take what it has to send itself: its handshake, answers to control frames."""

    def farewell(self, reason: Reason) -> bytes:
        """Encode the last words, in the language of whoever is at the other end."""

    def end(self, reason: Reason) -> bytes:
        """Encode what follows the last words."""

    def misplaced(self, head: bytes) -> bytes:
        """Encode the answer to a client that sent these first bytes where TLS was expected."""

"""The ends of a connection, for each stream and each framing in turn."""

from collections.abc import Iterator

import pytest

from tests.server.transport.ends import FRAMINGS, STREAMS, Ends, ends_of


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ends(stream: str, framing: str) -> Iterator[Ends]:
    """Return both ends after their handshakes."""
    with ends_of(stream, framing) as ends:
        ends.shake_hands()
        yield ends

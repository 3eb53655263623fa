"""`never_switches` detects a switch."""

from collections.abc import Callable

import gevent
import pytest

from tests.server.switches import never_switches


def test_a_block_that_never_switches_passes() -> None:
    with never_switches():
        other = gevent.spawn(len, "")
    other.join()
    with never_switches():
        assert other.ready()


@pytest.mark.parametrize("wait", [lambda: gevent.sleep(0), lambda: gevent.spawn(len, "").join()])
def test_a_block_that_switches_fails(wait: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="switch from"), never_switches():
        wait()

"""The moments at which the proof kills a server."""

import pytest

from tests.proof.moments import MOMENTS


@pytest.mark.parametrize("moment", MOMENTS)
def test_each_moment_is_a_function_that_the_server_has(moment: str) -> None:
    """Otherwise the server that is to be killed then does not start."""
    of, name, _ = MOMENTS[moment]
    assert callable(getattr(of, name))

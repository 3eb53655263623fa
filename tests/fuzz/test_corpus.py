"""All cases of the fuzzing corpus, and random ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.corpus import cases
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_every_case_of_the_corpus_passes(target: str) -> None:
    kept = cases(target)
    assert kept
    for case in kept:
        TARGETS[target](case)


@pytest.mark.parametrize("target", TARGETS)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_break_no_target(target: str, data: bytes) -> None:
    TARGETS[target](data)

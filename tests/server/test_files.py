"""Files are replaced completely or not at all."""

import os
import resource
from pathlib import Path

import pytest

from geventchat.server.files import replace


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it(
    tmp_path: Path, *, durable: bool
) -> None:
    file = tmp_path / "rules"
    replace(str(file), b"old", durable=durable)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            replace(str(file), b"newer", durable=durable)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["rules"]


def test_what_was_left_of_an_earlier_attempt_is_not_written_through(tmp_path: Path) -> None:
    """It may be a link to a file of somebody else."""
    (tmp_path / "other").write_text("precious")
    (tmp_path / "rules.new").symlink_to("other")
    replace(str(tmp_path / "rules"), b"new")
    assert (tmp_path / "other").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["other", "rules"]

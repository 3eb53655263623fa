"""The rules file: saved rules are loaded, all or none, and invalid files are rejected."""

import errno
import os
import stat
from pathlib import Path

import gevent
import pytest
from msgspec import structs

from geventchat.config import BadOption
from geventchat.protocol.errors import Refused
from geventchat.server.access import rules_file
from geventchat.server.access.rules import Rule
from geventchat.server.access.rules_file import RulesFile

RULE = Rule(
    action="ban",
    target_type="client",
    value="5ec2e7",
    target="Ann\n\u202e",
    operator="Olga",
    time=1,
    until=2,
)
GUEST = Rule(
    action="mute", target_type="guest", value="guest-7", target="guest-7", operator="Olga", time=1
)


def test_saved_rules_are_loaded_except_those_about_guests(tmp_path: Path) -> None:
    file = RulesFile(f"{tmp_path}/rules")
    assert file.load() == []
    file.save([RULE, GUEST])
    assert file.load() == [RULE]
    file.save([])
    assert file.load() == []
    assert os.listdir(tmp_path) == ["rules"]


def test_the_file_replaces_the_former_one_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text("{}")
    path.chmod(0o644)
    RulesFile(str(path)).save([RULE])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_save_leaves_the_former_rules(tmp_path: Path) -> None:
    file = RulesFile(f"{tmp_path}/rules")
    file.save([RULE])
    (tmp_path / "rules.new").mkdir()
    with pytest.raises(Refused) as refused:
        file.save([])
    assert refused.value.code == "storage"
    assert file.load() == [RULE]


def numbered(count: int) -> list[Rule]:
    return [structs.replace(RULE, value=str(number)) for number in range(count)]


def test_the_latest_of_concurrent_saves_is_on_disk(tmp_path: Path) -> None:
    file = RulesFile(f"{tmp_path}/rules")

    def act_again() -> None:  # its second save finds others waiting, and goes before them
        file.save(numbered(1))
        file.save(numbered(6))

    saves: list[gevent.Greenlet[..., None]] = [gevent.spawn(act_again)]
    saves += [gevent.spawn(file.save, numbered(count)) for count in range(2, 6)]
    gevent.joinall(saves, timeout=20, raise_error=True)
    assert file.load() == numbered(6)


def test_concurrent_saves_share_a_write_and_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RulesFile(f"{tmp_path}/rules")
    writes: list[bytes] = []

    def full(path: str, data: bytes) -> None:
        writes.append(data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rules_file, "replace", full)
    saves = [gevent.spawn(file.save, numbered(count)) for count in range(1, 11)]
    gevent.joinall(saves, timeout=20)
    assert len(writes) == 2
    assert all(isinstance(save.exception, Refused) for save in saves)
    monkeypatch.undo()
    file.save(numbered(10))
    assert file.load() == numbered(10)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"version":1}',
        b'{"version":2,"rules":[]}',
        b'{"version":1,"rules":[{"action":"ban"}]}',
        b'{"version":1,"rules":' + b"[" * 100_000,
        b'{"version":1,"rules":[{"action":"ban","target_type":"address","target":"x","operator":"o","time":1,'
        b'"value":"10.0.0.0/99"}]}',
        b'{"version":1,"rules":[{"action":"ban","target_type":"address","target":"x","operator":"o","time":1,'
        b'"value":"10.0.0.1/8"}]}',
        b'{"version":1,"rules":[{"action":"ban","target_type":"address","target":"x","operator":"o","time":1,'
        b'"value":"10.0.0.1"}]}',
    ],
)
def test_an_invalid_file_is_rejected_and_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rules"
    path.write_bytes(data)
    with pytest.raises(BadOption) as caught:
        RulesFile(str(path)).load()
    assert str(caught.value).startswith(f"--operator-file {path}: does not hold rules")
    assert path.read_bytes() == data

"""What docs/operations.md says of Redis is true of the engines here."""

import shlex
from pathlib import Path

import pytest

from geventchat.config import BadSetting, Limits
from geventchat.server.timeline.redis import fitness
from geventchat.server.timeline.redis.history import RedisHistory
from geventchat.server.timeline.redis.url import parse
from tests.engines import KINDS, RunningEngine, running
from tests.server.record import edit, redact, say, set_topic
from tests.server.timeline.redis.watched import Watched, until

_TEXT = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")


def block(after: str) -> list[str]:
    """Return the indented lines after a text."""
    lines = iter(_TEXT.partition(after)[2].partition("\n\n")[2].splitlines())
    found = []
    for line in lines:
        if not line.startswith("    "):
            break
        found.append(line.strip())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_are_accepted_without_any_other(kind: str, tmp_path: Path) -> None:
    (tmp_path / "redis.conf").write_text("\n".join(block("in `redis.conf`:")))
    with running(kind, "--include", str(tmp_path / "redis.conf"), durable=False) as engine:
        fitness.check(engine.url)
        assert engine.call("CONFIG", "GET", "maxmemory")[1] == b"2147483648"


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_of_a_fresh_engine_are_refused_in_the_words_that_are_shown(kind: str) -> None:
    shown = " ".join(block("refused with the command that mends it:"))
    with running(kind, durable=False) as engine, pytest.raises(BadSetting) as error:
        fitness.check(engine.url)
    place = shlex.join(fitness.command_line(parse("redis://db.example.org")))
    there = shlex.join(fitness.command_line(engine.where))
    assert error.value.reason.replace(there, place) == shown


def test_a_user_needs_no_more_rights(own: RunningEngine) -> None:
    (command,) = block("A user for the chat needs these rights and no others:")
    own.call(*command.split())
    fitness.check(own.url.replace("://", "://chat:PASSWORD@"))
    assert command.split()[5:] == fitness.RIGHTS.split()


def use(url: str) -> None:
    """Do what a server does with its timeline."""
    watched = Watched(url)
    timeline = watched.timeline
    try:
        top = timeline.position("lobby")
        watched.talk(say("one"), say("two"), say("three", "key"), set_topic("today"))
        watched.talk(edit(top + 1, "ONE"), redact(top + 2, may_redact_any=True))
        timeline.keep([("account", f"{top}", b"one")])
        timeline.configure(Limits(history_posts_per_room=2))
        until(lambda: timeline.oldest("lobby") > 1)
        timeline.before("lobby", top + 4, 10)
        timeline.missed("lobby", top, 0)
        timeline.with_topic("", "", 10)
        timeline.newest_posts("")
    finally:
        watched.close()


def test_a_server_does_nothing_without_these_rights(own: RunningEngine) -> None:
    (command,) = block("A user for the chat needs these rights and no others:")
    own.call(*command.split())
    url = own.url.replace("://", "://chat:PASSWORD@")
    use(url)
    use(url)  # which finds the store of the first one
    with RedisHistory(url).reading() as stored:
        assert list(stored.export_lines())
    with RedisHistory(url).exclusive() as stored:
        stored.renew()
    assert own.call("ACL", "LOG") == []


def test_the_urls_can_be_read() -> None:
    rows = _TEXT.partition("| `--timeline` | |\n")[2].partition("\n\n")[0].splitlines()[1:]
    forms = [row.split("`")[1] for row in rows]
    assert len(forms) == 5
    for form in forms:
        url = form.replace("USER:PASSWORD@", "user:password@").replace("HOST", "host")
        for old, new in (("…?", "redis://host?"), ("…/", "/"), ("…", "host"), ("PORT", "7000")):
            url = url.replace(old, new)
        url = url.replace("NUMBER", "1").translate({ord("["): None, ord("]"): None})
        parse(url.replace(",/", "/"))

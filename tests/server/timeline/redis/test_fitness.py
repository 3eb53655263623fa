"""Engines that would lose messages are refused, in one line that says what mends it."""

import re
import shlex
from signal import SIGSTOP

import pytest

from geventchat.config import BadSetting
from geventchat.server.timeline.redis import fitness
from geventchat.server.timeline.redis.url import parse
from tests.engines import KINDS, RunningEngine, running
from tests.server.timeline.redis.conftest import Connect

both = pytest.mark.parametrize("kind", KINDS)


def refusal(url: str, *, temporary: bool = False) -> str:
    with pytest.raises(BadSetting) as error:
        fitness.check(url)
    assert error.value.name == "timeline"
    assert error.value.temporary is temporary
    assert "\n" not in str(error.value)
    return error.value.reason


def mend(engine: RunningEngine, reason: str) -> None:
    """Run the commands that a refusal names."""
    for command in reason.partition("run: ")[2].partition(";")[0].split(" && "):
        words = shlex.split(command)
        assert words[:3] == ["redis-cli", "-s", engine.path]
        engine.call(*words[3 if words[3] != "--user" else 6 :])


def test_an_engine_that_loses_nothing_is_accepted(engine: RunningEngine) -> None:
    where = fitness.check(engine.url)
    assert where == engine.where
    assert engine.call("DBSIZE") == 0


@pytest.mark.parametrize(
    ("options", "has"),
    [
        ("--appendonly no", "appendonly no"),
        ("--appendfsync everysec", "appendfsync everysec"),
        ("--appendfsync no", "appendfsync no"),
        ("--no-appendfsync-on-rewrite yes", "no-appendfsync-on-rewrite yes"),
        ("--maxmemory-policy allkeys-lru", "maxmemory-policy allkeys-lru"),
        ("--maxmemory-policy volatile-ttl", "maxmemory-policy volatile-ttl"),
        (
            "--appendonly no --appendfsync everysec --maxmemory-policy allkeys-lfu",
            "appendonly no and appendfsync everysec and maxmemory-policy allkeys-lfu",
        ),
    ],
)
@both
def test_settings_that_would_lose_messages_are_refused_until_the_command_was_run(
    kind: str, options: str, has: str
) -> None:
    with running(kind, *options.split()) as engine:
        reason = refusal(engine.url)
        assert reason.startswith(f"it has {has}, which would lose messages; run: ")
        mend(engine, reason)
        fitness.check(engine.url)
        engine.restart()
        fitness.check(engine.url)


@both
@pytest.mark.parametrize(("seconds", "ready"), [(0.0, False), (10.0, True)])
def test_an_engine_that_writes_its_first_file_is_accepted_when_that_is_complete(
    kind: str,
    seconds: float,
    ready: bool,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitness, "_SECONDS", seconds or 0.5)
    with running(kind, "--appendonly", "no", "--rdb-key-save-delay", "1000") as engine:
        count = 300 if ready else 30_000
        connect(engine).pipeline([("SET", f"a{number}", "b") for number in range(count)])
        engine.call("CONFIG", "SET", "appendonly", "yes")
        if not ready:
            assert "has not written its first" in refusal(engine.url, temporary=True)
            return
        fitness.check(engine.url)
        engine.call("SET", "after", "1")
        engine.restart("--appendonly", "yes")
        assert engine.call("GET", "after") == b"1"


@both
def test_everysec_is_accepted_where_it_is_asked_for(kind: str) -> None:
    with running(kind, "--appendfsync", "everysec") as engine:
        assert refusal(engine.url).endswith("add ?fsync=everysec")
        fitness.check(f"{engine.url}?fsync=everysec")
        engine.call("CONFIG", "SET", "appendfsync", "always")
        fitness.check(f"{engine.url}?fsync=everysec")
        engine.call("CONFIG", "SET", "appendfsync", "no")
        assert "CONFIG SET appendfsync everysec" in refusal(f"{engine.url}?fsync=everysec")


def test_a_replica_is_refused_with_the_address_of_its_primary(own: RunningEngine) -> None:
    own.call("REPLICAOF", "127.0.0.1", "1")
    assert "is a replica" in refusal(own.url)
    assert refusal(own.url).endswith("its primary, 127.0.0.1:1")


@both
def test_a_part_of_a_cluster_is_refused(kind: str) -> None:
    with running(kind, "--cluster-enabled", "yes") as engine:
        assert "cluster-enabled no" in refusal(engine.url)


def test_an_old_version_is_refused(own: RunningEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "_LEAST_VERSION", 8)  # none runs here that is too old
    assert re.fullmatch(r"Redis 7\S+ is too old; use 8\.0 or newer, or Valkey", refusal(own.url))


@both
def test_a_password_that_is_missing_or_wrong_is_refused_and_none_is_shown(kind: str) -> None:
    with running(kind, "--requirepass", "s3cret") as engine:
        shown = f"unix://:PASSWORD@{engine.path}"
        hint = f"it wants a password; set GEVENTCHAT_TIMELINE={shown}"
        assert refusal(engine.url) == hint
        assert refusal(engine.url.replace("://", "://@")) == hint
        assert "=unix://ada:PASSWORD@/" in refusal(engine.url.replace("://", "://ada@"))
        wrong = engine.url.replace("://", "://ada:wr0ng@")
        with pytest.raises(BadSetting) as error:
            fitness.check(wrong)
        assert (
            str(error.value) == f"--timeline unix://ada:***@{engine.path}: wrong user or password"
        )
        fitness.check(engine.url.replace("://", "://:s3cret@"))


@both
def test_a_password_is_not_shown_by_an_engine_that_does_not_know_what_it_is(kind: str) -> None:
    with running(kind, "--rename-command", "AUTH", "login") as engine:
        reason = refusal(engine.url.replace("://", "://ada:s3cret@"))
    assert "unknown command" in reason
    assert "s3cret" not in reason


@both
def test_an_engine_that_has_too_many_clients_is_refused_as_one_that_may_have_fewer(
    kind: str, connect: Connect
) -> None:
    with running(kind, "--maxclients", "1") as engine:
        connect(engine).call("PING")
        assert refusal(engine.url, temporary=True) == "ERR max number of clients reached"


def test_a_password_where_none_is_wanted_is_refused(engine: RunningEngine) -> None:
    assert "without any password" in refusal(engine.url.replace("://", "://:s3cret@"))


@pytest.mark.parametrize(
    ("rights", "what"),
    [
        ("-@scripting", "eval"),
        ("resetkeys ~other:*", "XADD"),
        ("-xadd", "XADD"),
        ("resetchannels", "PUBLISH"),
        ("-@sortedset", "ZADD"),
        ("-info", "info"),
        ("-config|get", "config"),
        ("-client|setname", "client"),
    ],
)
def test_a_right_that_is_missing_is_refused_until_the_command_was_run(
    own: RunningEngine, rights: str, what: str
) -> None:
    url = own.url.replace("://", "://ada:s3cret@")
    user = "ACL SETUSER ada reset on >s3cret".split()
    own.call(*user, *fitness.RIGHTS.split())
    fitness.check(url)

    own.call(*user, *fitness.RIGHTS.split(), *rights.split())
    reason = refusal(url)
    assert what in reason
    mend(own, reason)

    fitness.check(url)


@pytest.mark.parametrize(
    ("command", "by"),
    [
        ("SET {gc}:life mine", "another program"),
        ("HSET {gc}:life mine 1", "another program"),
        ("HSET {gc}:life epoch 1 format 2", "another version of geventchat"),
    ],
)
def test_keys_that_another_wrote_are_refused(engine: RunningEngine, command: str, by: str) -> None:
    engine.call(*command.split())
    assert refusal(engine.url).endswith(f"has a key {{gc}}:life of {by}; use another database")
    fitness.check(f"{engine.url}?db=1")


def test_an_engine_that_is_not_there_is_refused_as_one_that_may_come(own: RunningEngine) -> None:
    own.kill()
    assert refusal(own.url, temporary=True) == (
        "No such file or directory; start Redis or Valkey there,"
        " on Debian with: systemctl start redis-server"
    )


def test_an_engine_that_hangs_is_refused_as_one_that_may_come_to(
    own: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitness, "_SECONDS", 0.1)
    own.signal(SIGSTOP)
    assert refusal(own.url, temporary=True) == "no answer in time"


def test_an_engine_that_loads_is_refused_as_one_that_may_be_ready_soon(
    own: RunningEngine, connect: Connect
) -> None:
    connect(own).pipeline([("SET", f"a{number}", "b") for number in range(6_000)])
    own.kill()
    own.start("--key-load-delay", "500", loaded=False)  # 3 s
    while (why := refusal(own.url, temporary=True)) == "no answer in time":
        pass
    assert why.startswith("LOADING ")


def test_settings_that_are_changed_later_are_logged_once_and_when_they_are_right_again(
    own: RunningEngine,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fitness, "_WATCH_SECONDS", 0)
    caplog.set_level("INFO")
    line = connect(own)
    watch = fitness.Watch(lambda: line)
    watch.step()
    line.call("CONFIG", "SET", "appendfsync", "no")
    watch.step()
    watch.step()
    line.call("CONFIG", "SET", "appendfsync", "always")
    watch.step()
    watch.step()

    wrong, right = caplog.messages
    assert wrong.startswith(f"{own.url} was changed: it has appendfsync no, which would lose")
    assert right == f"{own.url} has the right settings again"


def test_settings_are_looked_at_no_more_than_once_a_minute() -> None:
    fitness.Watch(lambda: pytest.fail("looked")).step()


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("redis://db", "redis-cli -h db -p 6379"),
        ("rediss://db:7000?ca=/a b", "redis-cli -h db -p 7000 --tls --cacert '/a b'"),
        ("rediss://db?cert=/c", "redis-cli -h db -p 6379 --tls --cert /c --key /c"),
        ("redis://ada:s3cret@db", "redis-cli -h db -p 6379 --user ada --askpass"),
        ("redis+sentinel://a,b/main", "redis-cli"),
    ],
)
def test_a_command_says_how_to_reach_the_engine_and_no_password(url: str, command: str) -> None:
    assert shlex.join(fitness.command_line(parse(url))) == command

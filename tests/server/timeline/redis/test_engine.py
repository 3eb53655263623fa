"""One connection to a real engine, and what its errors mean."""

import time
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import gevent
import pytest
from gevent.server import StreamServer

from geventchat.server.timeline.redis import line as module
from geventchat.server.timeline.redis.engine import Away, Engine, InDoubt, Part, Rejected
from geventchat.server.timeline.redis.scripts import Script
from geventchat.server.timeline.redis.url import parse
from tests.engines import RunningEngine, running
from tests.server.timeline.redis.conftest import Connect, hurried

KINDS = pytest.mark.parametrize("kind", ["valkey", "redis"])


@pytest.fixture
def line(engine: RunningEngine, connect: Connect) -> Engine:
    return connect(engine)


def test_a_command_is_answered(line: Engine) -> None:
    assert line.call("SET", "a", 1) == b"OK"
    assert line.call("GET", "a") == b"1"
    assert line.call("GET", "b") is None
    assert line.call("MGET", "a", "b") == [b"1", None]
    assert line.call("SET", "b", b"\0\xff\r\n") == b"OK"
    assert line.call("GET", "b") == b"\0\xff\r\n"
    assert line.call("APPEND", "a", "é") == 3


def test_an_answer_that_is_an_error_is_raised_with_its_code(line: Engine) -> None:
    with pytest.raises(Rejected) as error:
        line.call("NONSENSE")
    assert error.value.code == "ERR"
    assert error.value.text.startswith("ERR unknown command")
    assert line.call("PING") == b"PONG"


def test_an_error_in_a_pipeline_is_in_its_place(line: Engine) -> None:
    first, error, last = line.pipeline([("SET", "a", "b"), ("INCR", "a"), ("GET", "a")])
    assert (first, last) == (b"OK", b"b")
    assert isinstance(error, Rejected)


def test_each_greenlet_gets_its_own_answer(line: Engine) -> None:
    echoes = [gevent.spawn(line.call, "ECHO", str(number)) for number in range(200)]
    assert [int(each.get()) for each in echoes] == list(range(200))
    assert line.call("CLIENT", "LIST").count(b"name=test") == 1


def test_a_connection_uses_the_database_and_the_name_it_was_given(
    engine: RunningEngine, connect: Connect
) -> None:
    line = connect(f"{engine.url}?db=3", "gc-test")
    line.call("SET", "a", "b")
    assert b"name=gc-test" in line.call("CLIENT", "INFO")
    assert b" db=3" in line.call("CLIENT", "INFO")
    assert engine.call("GET", "a") is None


def test_a_script_is_loaded_once_and_again_after_it_was_flushed(line: Engine) -> None:
    script = _script(b"return {KEYS[1], ARGV[1], 7}")
    line.call("SCRIPT", "FLUSH")
    assert line.run(script, ["a"], b"b") == [b"a", b"b", 7]
    assert line.call("SCRIPT", "EXISTS", script.digest) == [1]
    line.call("SCRIPT", "FLUSH")
    assert line.run(script, ["a"], b"b") == [b"a", b"b", 7]


def test_an_error_of_a_script_is_raised_with_its_code(line: Engine) -> None:
    with pytest.raises(Rejected) as error:
        line.run(_script(b"return redis.error_reply('FENCED by 2')"), [])
    assert (error.value.code, error.value.text) == ("FENCED", "FENCED by 2")


def test_no_engine_means_that_nothing_was_executed(tmp_path: Path, connect: Connect) -> None:
    for url, reason in (
        (f"unix://{tmp_path}/none", "No such file"),
        ("redis://127.0.0.1:1", "refused"),
        ("redis://name.invalid", "[Nn]ame"),
    ):
        with pytest.raises(Away, match=reason) as error:
            connect(url).call("PING")
        assert error.value.answer is None


def test_an_engine_that_ended_a_quiet_connection_is_connected_to_again(
    engine: RunningEngine, line: Engine
) -> None:
    line.call("PING")
    engine.call("CLIENT", "KILL", "TYPE", "normal")
    assert line.call("PING") == b"PONG"


def test_a_restarted_engine_is_connected_to_again(connect: Connect) -> None:
    with running("valkey") as engine:
        line = connect(engine)
        line.call("SET", "a", "b")
        engine.kill()
        with pytest.raises(Away):
            line.call("PING")
        engine.start()
        assert line.call("GET", "a") == b"b"


def test_a_stopped_engine_leaves_a_command_in_doubt_and_others_not_executed(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    line.call("PING")
    own.signal(SIGSTOP)
    with hurried(line):
        sent, waiting = (gevent.spawn(line.call, "INCR", name) for name in ("sent", "waiting"))
        assert isinstance(_error(sent), InDoubt)
        assert isinstance(_error(waiting), Away)
        with pytest.raises(Away, match="in time"):
            line.call("INCR", "later")  # the kernel connects, and nobody says hello
    own.signal(SIGCONT)
    assert line.call("MGET", "sent", "waiting", "later") == [b"1", None, None]


def test_a_command_of_which_only_a_part_was_sent_is_not_executed(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    line.call("PING")
    own.signal(SIGSTOP)
    with pytest.raises(Away), hurried(line):
        line.call("SET", "a", bytes(8 << 20))
    own.signal(SIGCONT)
    assert line.call("EXISTS", "a") == 0


def test_an_interrupted_command_leaves_its_answer_to_nobody(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    line.call("PING")
    own.signal(SIGSTOP)
    killed = gevent.spawn(line.call, "ECHO", "killed")
    gevent.sleep(0)
    killed.kill()
    own.signal(SIGCONT)
    assert line.call("ECHO", "mine") == b"mine"
    own.signal(SIGSTOP)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        line.call("ECHO", "late")
    own.signal(SIGCONT)
    assert line.call("ECHO", "mine") == b"mine"


def test_a_greenlet_that_is_killed_while_it_waits_for_its_turn_disturbs_nobody(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    line.call("PING")
    own.signal(SIGSTOP)
    first, second, third = (gevent.spawn(line.call, "ECHO", each) for each in "abc")
    gevent.sleep(0)
    second.kill()
    own.signal(SIGCONT)
    assert (first.get(), third.get()) == (b"a", b"c")


def test_closing_ends_a_command_in_flight_and_refuses_others(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    line.call("PING")
    own.signal(SIGSTOP)
    waiting = gevent.spawn(line.call, "PING")
    gevent.sleep(0)
    line.close()
    assert isinstance(_error(waiting), InDoubt)
    with pytest.raises(Away, match="closed"):
        line.call("PING")


def test_a_connection_that_is_closed_while_it_is_made_is_not_used(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    own.signal(SIGSTOP)
    waiting = gevent.spawn(line.call, "SET", "a", "b")
    gevent.sleep(0)
    line.close()
    own.signal(SIGCONT)
    assert isinstance(_error(waiting), Away)
    assert own.call("EXISTS", "a") == 0


def test_each_new_connection_is_looked_at_before_it_is_used(
    engine: RunningEngine, connect: Connect
) -> None:
    seen = []

    def look(new: Engine) -> None:
        seen.append(new.call("GET", "a"))

    line = connect(engine, on_connect=look)
    line.call("SET", "a", "b")
    line.call("SET", "a", "c")
    assert seen == [None]
    engine.call("CLIENT", "KILL", "TYPE", "normal")
    line.call("SET", "a", "d")
    assert seen == [None, b"c"]


def test_a_new_connection_that_does_not_please_is_given_up(
    engine: RunningEngine, connect: Connect
) -> None:
    def refuse(new: Engine) -> None:
        new.call("NONSENSE")

    line = connect(engine, "refused", on_connect=refuse)
    with pytest.raises(Away, match="unknown command") as error:
        line.call("SET", "a", "b")
    assert error.value.answer is not None
    assert engine.call("EXISTS", "a") == 0
    assert b"name=refused" not in engine.call("CLIENT", "LIST")


def test_a_connection_that_is_lost_while_it_is_looked_at_is_not_made_again_by_that(
    engine: RunningEngine, connect: Connect
) -> None:
    seen = []

    def look(new: Engine) -> None:
        seen.append(new.call("PING"))
        engine.call("CLIENT", "KILL", "TYPE", "normal")
        new.call("PING")

    line = connect(engine, on_connect=look)
    with pytest.raises(Away, match="closed"):
        line.call("SET", "a", "b")
    assert seen == [b"PONG"]


def test_an_answer_that_is_there_is_not_late_for_who_was_paused(
    engine: RunningEngine, connect: Connect
) -> None:
    line = connect(engine)
    line.call("SET", "a", bytes(160 << 10))
    with hurried(line, 0.1):
        answer = gevent.spawn(line.call, "GET", "a")
        gevent.sleep(0)
    time.sleep(0.2)  # this whole process stands still; it reads more than once then
    assert len(answer.get()) == 160 << 10


def test_a_large_answer_lets_others_have_their_turn(
    engine: RunningEngine, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []
    monkeypatch.setattr(module, "_UNBROKEN_BYTES", 1 << 20)
    monkeypatch.setattr(module, "sleep", turns.append)
    line = connect(engine)
    line.call("SET", "a", bytes(8 << 20))
    assert len(line.call("GET", "a")) == 8 << 20
    assert turns == [0] * 7


def test_an_error_of_who_looks_at_a_new_connection_is_raised_as_it_is(
    engine: RunningEngine, connect: Connect
) -> None:
    def refuse(_: Engine) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connect(engine, on_connect=refuse).call("PING")


def test_a_replica_executes_nothing(own: RunningEngine, connect: Connect) -> None:
    line = connect(own, seconds=2)
    line.call("SET", "a", "b")
    line.call("REPLICAOF", "127.0.0.1", "1")
    _is_away(line, "READONLY", "SET", "a", "c")
    line.call("CONFIG", "SET", "replica-serve-stale-data", "no")
    _is_away(line, "MASTERDOWN", "GET", "a")
    line.call("REPLICAOF", "NO", "ONE")
    assert line.call("GET", "a") == b"b"


def test_an_engine_that_wants_replicas_executes_nothing_without(
    own: RunningEngine, connect: Connect
) -> None:
    line = connect(own)
    line.call("CONFIG", "SET", "min-replicas-to-write", "1")
    _is_away(line, "NOREPLICAS", "SET", "a", "b")
    with pytest.raises(Away):
        line.run(_script(b"#!lua\nredis.call('SET', 'a', 'b')"), [])
    assert line.call("EXISTS", "a") == 0


def test_an_engine_that_has_a_script_running_executes_nothing(
    own: RunningEngine, connect: Connect
) -> None:
    own.call("CONFIG", "SET", "busy-reply-threshold", "20")
    line = connect(own)
    line.call("PING")
    loop = gevent.spawn(connect(own, "loop").run, _script(b"while true do end"), [])
    with suppress(Away):
        while line.call("DEL", "a") == 0:
            pass
    _is_away(line, "BUSY", "SET", "a", "b")
    line.call("SCRIPT", "KILL")
    assert isinstance(_error(loop), Rejected)
    assert line.call("EXISTS", "a") == 0


def test_an_engine_that_loads_executes_nothing(own: RunningEngine, connect: Connect) -> None:
    line = connect(own)
    line.pipeline([("SET", f"a{number}", "b") for number in range(6_000)])
    own.kill()
    own.start("--key-load-delay", "200", loaded=False)
    _is_away(line, "LOADING", "SET", "a", "b")


@KINDS
def test_a_full_engine_rejects_before_a_script_begins(kind: str, connect: Connect) -> None:
    with running(kind, "--maxmemory", "1") as engine:
        line = connect(engine)
        script = _script(b"#!lua\nredis.call('DEL', 'a') redis.call('SET', 'b', 'c')")
        with pytest.raises(Rejected) as error:
            line.run(script, [])
        assert error.value.code == "OOM"


@KINDS
def test_an_engine_that_cannot_write_rejects_before_a_script_begins(
    kind: str, connect: Connect
) -> None:
    with running(kind, "--dbfilename", "folder.rdb") as engine:
        line = connect(engine)
        (engine.folder / "folder.rdb").mkdir()
        line.call("CONFIG", "SET", "save", "60 1")
        line.call("BGSAVE")
        while b"rdb_bgsave_in_progress:1" in line.call("INFO", "persistence"):
            gevent.sleep(0.005)
        with pytest.raises(Rejected) as error:
            line.run(_script(b"#!lua\nredis.call('SET', 'a', 'b')"), [])
        assert error.value.code == "MISCONF"


@pytest.mark.parametrize(
    ("login", "code"), [("", "NOAUTH"), (":wrong@", "WRONGPASS"), ("nobody:pw@", "WRONGPASS")]
)
@KINDS
def test_who_may_not_come_in_has_executed_nothing(
    kind: str, login: str, code: str, connect: Connect
) -> None:
    with running(kind, "--requirepass", "right") as engine:
        url = engine.url.replace("://", f"://{login}")
        _is_away(connect(url), code, "PING")
        right = connect(engine.url.replace("://", "://:right@"))
        assert right.call("PING") == b"PONG"
        user = connect(engine.url.replace("://", "://default:right@"))
        assert user.call("PING") == b"PONG"


def test_what_is_no_engine_is_away(connect: Connect) -> None:
    def answer(sock: gevent.socket.socket, _: object) -> None:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    try:
        where = parse(f"redis://127.0.0.1:{server.server_port}")
        with pytest.raises(Away, match="Protocol error"):
            connect(where).call("PING")
    finally:
        server.stop()


def _script(text: bytes) -> Script:
    return Script("test", text)


def _error(greenlet: "gevent.Greenlet[..., object]") -> BaseException | None:
    greenlet.join()
    return greenlet.exception


def _is_away(line: Engine, code: str, *command: Part) -> None:
    with pytest.raises(Away) as error:
        line.call(*command)
    assert error.value.answer is not None
    assert error.value.answer.code == code

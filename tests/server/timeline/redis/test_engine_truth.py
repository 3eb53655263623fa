"""What a connection says of each command is true, whatever the network and its callers do."""

from random import Random

import gevent
import pytest

from geventchat.server.timeline.redis.engine import Away, Engine, InDoubt
from tests.engines import RunningEngine
from tests.fault_proxy import FaultProxy, faults
from tests.server.timeline.redis.conftest import Connect, hurried

_COMMANDS = 400


def ask(line: Engine, number: int, patience: float) -> str:
    """Count a command; return what became of it."""
    try:
        with gevent.Timeout(patience):
            # The answer is the command's own, so one that is another's shows.
            assert line.call("HINCRBY", "counted", number, number + 1) == number + 1
    except Away:
        return "away"
    except (InDoubt, gevent.Timeout):
        return "in doubt"
    return "answered"


def trouble(proxy: FaultProxy, engine: RunningEngine, random: Random) -> None:
    while True:
        match random.randrange(9):
            case 0:
                proxy.cut()
            case 1:
                proxy.lose_answer("HINCRBY", random.randrange(1, 5))
            case 2:
                proxy.lose_answer("HINCRBY", silently=True)
            case 3:
                proxy.cut_command(random.randrange(60))
            case 4:
                proxy.cut_answer(random.randrange(6))
            case 5:
                proxy.half_open()
            case 6:
                proxy.delay = random.choice((0.0, 0.002, 0.03))
            case 7:
                proxy.open.clear()
                gevent.sleep(random.random() * 0.06)
                proxy.open.set()
            case 8:
                engine.call("CLIENT", "KILL", "TYPE", "normal")
        gevent.sleep(random.random() * 0.02)


@pytest.mark.parametrize("seed", range(2))
def test_each_command_was_executed_as_often_as_is_said(
    seed: int, engine: RunningEngine, connect: Connect
) -> None:
    random = Random(seed)
    with faults(engine.path) as proxy:
        line = connect(proxy.url)
        troubling = gevent.spawn(trouble, proxy, engine, random)
        asked: list[gevent.Greenlet[..., str]] = []
        with hurried(line, 0.04):
            for number in range(_COMMANDS):
                patience = random.choice((0.001, 0.02, 1))
                asked.append(gevent.spawn(ask, line, number, patience))
                if random.random() < 0.3:
                    gevent.sleep(random.random() * 0.01)
                if random.random() < 0.05:
                    asked[random.randrange(len(asked))].kill()
            gevent.joinall(asked)
        troubling.kill()

    values: list[object] = [each.get() for each in asked]
    said = ["killed" if isinstance(each, gevent.GreenletExit) else str(each) for each in values]
    counts = engine.call("HMGET", "counted", *range(_COMMANDS))
    times = [
        0 if count is None else int(count) / (number + 1) for number, count in enumerate(counts)
    ]
    allowed = {"answered": {1}, "away": {0}, "in doubt": {0, 1}, "killed": {0, 1}}
    wrong = [(n, what) for n, what in enumerate(said) if times[n] not in allowed[what]]
    assert wrong == []
    assert {"answered", "away", "in doubt"} <= set(said)

"""What turns cost: `python -m tests.server.timeline.redis.costs`. Some 40 seconds for each engine.

CPU of the engine with `appendfsync always`, of the node that submits, and of another node that
hears the turn from the feed; and the engine's memory for what is kept.
"""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, closing
from itertools import count

import gevent

from geventchat.server.timeline import Submission
from geventchat.server.timeline.redis import RedisTimeline, turn
from geventchat.server.timeline.redis.engine import Engine
from tests.engines import KINDS, running
from tests.server.timeline.redis.turns import Turns

TEXT = "x" * 100
TURNS = {1: 2000, 10: 600, 100: 120, 500: 40}
"""Turns of each size."""
ROOMS = 20
POSTS = 50_000
IDLE_SECONDS = 10

WAITING = 20
"""Nodes that wait for the feed,"""
WAKES = 200
"""and how often they are answered."""

_number = count(1)


def says(size: int, *, keyed: bool = True) -> list[Submission]:
    """Return submissions in several rooms, as rich clients send them."""
    return [
        Submission(
            next(_number), f"room-{n % ROOMS}", "somebody", TEXT, b"0123456789abcdef",
            f"{next(_number):022}" if keyed else None,
        )
        for n in range(size)
    ]  # fmt: skip


def engine_seconds(asking: Engine) -> float:
    """Return the CPU time of the engine's main thread."""
    told = dict(
        line.split(":", 1)
        for line in asking.call("INFO", "cpu").decode().split("\r\n")
        if ":" in line
    )
    return float(told["used_cpu_user_main_thread"]) + float(told["used_cpu_sys_main_thread"])


def memory(turns: Turns) -> int:
    """Return the bytes in use, without the feed."""
    turns.engine.call("XTRIM", "{gc}:feed", "MAXLEN", 0)
    told = turns.engine.call("INFO", "memory").decode()
    return int(told.split("used_memory_dataset:")[1].split("\r\n")[0])


def storing(turns: Turns, other: Engine, size: int) -> Iterable[str]:
    """Take turns of a size, and hear them as another node does."""
    submitted = [says(size) for _ in range(TURNS[size])]
    turns.take(*says(size))
    own = heard = 0.0
    answers = []
    began = engine_seconds(turns.engine)
    for number, each in enumerate(submitted, turns.number + 1):
        before = time.process_time()
        answers.append(turns.ask_packed(number, turn.packed(each)))
        own += time.process_time() - before
    turns.number += len(submitted)
    engine = engine_seconds(turns.engine) - began
    before = time.process_time()
    for each, (_, now, results) in zip(submitted, answers, strict=True):
        turn.batch(each, now, results)
    own += time.process_time() - before
    cursor: bytes = b"0"
    began = engine_seconds(turns.engine)
    while answer := other.call("XREAD", "COUNT", 200, "STREAMS", "{gc}:feed", cursor):
        before = time.process_time()
        for _, fields in answer[0][1]:
            if fields[0] == b"n":
                turn.batch(turn.unpacked(fields[7]), int(fields[5]), fields[9])
        heard += time.process_time() - before
        cursor = answer[0][1][-1][0]
    reading = engine_seconds(turns.engine) - began
    turns.engine.call("XTRIM", "{gc}:feed", "MAXLEN", 0)
    yield f"{engine / len(submitted) * 1e6:8.0f}"
    for seconds in engine, reading, own, heard:
        yield f"{seconds / len(submitted) / size * 1e6:8.2f}"


def waking(turns: Turns, size: int) -> float:
    """Return the engine's CPU, in µs, to answer a turn to a node that waits for the feed."""
    began = engine_seconds(turns.engine)
    for _ in range(WAKES):
        turns.take(*says(size))
    alone = engine_seconds(turns.engine) - began
    with ExitStack() as stack:
        others = [Engine(turns.engine.where, name=f"waits{n}") for n in range(WAITING)]
        heard: Counter[Engine] = Counter()
        for other in others:
            stack.callback(other.close)
            stack.callback(gevent.spawn(_hear, other, heard).kill)
        while len(heard) < WAITING:  # what was there before
            gevent.sleep(0.01)
        heard.clear()
        began = engine_seconds(turns.engine)
        for number in range(1, WAKES + 1):
            turns.take(*says(size))
            while any(heard[other] < number for other in others):
                gevent.sleep(0.0005)
        return (engine_seconds(turns.engine) - began - alone) / WAKES / WAITING * 1e6


def _hear(engine: Engine, heard: Counter[Engine]) -> None:
    """Count the entries of the feed, those that are there already as one."""
    cursor: bytes = engine.call("XREVRANGE", "{gc}:feed", "+", "-", "COUNT", 1)[0][0]
    heard[engine] += 1
    while True:
        answer = engine.call("XREAD", "COUNT", 200, "BLOCK", 1000, "STREAMS", "{gc}:feed", cursor)
        if answer:
            heard[engine] += len(answer[0][1])
            cursor = answer[0][1][-1][0]


def bytes_per_post(kind: str, *, keyed: bool) -> float:
    """Return the memory that each of many posts takes, in an engine of its own."""
    with running(kind) as engine, closing(Turns(engine)) as turns:
        turns.take(*says(ROOMS, keyed=keyed))
        before = memory(turns)
        for _ in range(POSTS // 500):
            turns.take(*says(500, keyed=keyed))
        return (memory(turns) - before) / POSTS


def idle(kind: str) -> tuple[float, float]:
    """Return the share of a core that an engine needs, alone and for a node without clients."""
    with running(kind) as engine, closing(Turns(engine)) as asking:
        alone = share(asking)
        timeline = RedisTimeline(lambda _: None, engine.url)
        timeline.start()
        gevent.sleep(1)
        together = share(asking)
        timeline.close(5)
        return alone, together - alone


def share(asking: Turns) -> float:
    """Return the share of a core that an engine uses at present."""
    began = engine_seconds(asking.engine)
    gevent.sleep(IDLE_SECONDS)
    return (engine_seconds(asking.engine) - began) / IDLE_SECONDS


def main() -> None:
    print("CPU in µs: of the engine for a turn; then for each message: of the engine that")
    print("stores it, that has it read by one node, of a node that submits, of one that hears it")
    for kind in KINDS:
        with running(kind) as engine, closing(Turns(engine)) as turns:
            other = Engine(engine.where, name="other")
            for size in TURNS:
                print(f"{kind:7} turns of {size:4}", *storing(turns, other, size), flush=True)
            other.close()
        for keyed in True, False:
            what = f"a post of {len(TEXT)} characters with{'' if keyed else 'out'} a key"
            print(f"{kind:7} {what}: {bytes_per_post(kind, keyed=keyed):.0f} bytes")
        with running(kind) as engine, closing(Turns(engine)) as turns:
            for size in 1, 100:
                cost = waking(turns, size)
                print(f"{kind:7} an answer to a node that waits, with {size}: {cost:.1f}")
        alone, node = idle(kind)
        print(f"{kind:7} alone: {alone:.3%} of a core; a node without clients: {node:.3%}")


if __name__ == "__main__":
    main()

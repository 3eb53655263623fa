"""What reading costs beside 10^6 posts: `python -m tests.server.timeline.redis.reading_costs`.

In 1,000 rooms, half of the posts with keys, on each engine or the one that is named. Some two
minutes for each.
"""

import statistics
import sys
import time
from collections.abc import Callable

import gevent

from geventchat.config import Limits
from geventchat.protocol.events import Post
from geventchat.server.search.query import Query
from geventchat.server.search.scan import ScanSearch
from geventchat.server.timeline import Submission
from geventchat.server.timeline.redis import RedisTimeline
from geventchat.server.timeline.redis.engine import Engine
from tests.engines import KINDS, RunningEngine, running
from tests.server.timeline.redis.turns import Turns

ROOMS, POSTS = 1_000, 1_000_000
OTHERS = 100_000
"""Rooms of which nothing but the newest position is left."""
TURN = 500
RUNS = 200
TEXT = "this is what somebody says in a room, and it has some sixty letters"
LIMITS = Limits(history_posts_per_room=1_000_000, history_bytes=1 << 40)


def main() -> None:
    """Print a table for each engine."""
    for kind in sys.argv[1:] or KINDS:
        with running(kind, "--appendfsync", "no") as engine:  # to fill it sooner
            print(f"\n{kind}: {ROOMS:,} rooms, {POSTS:,} posts of {len(TEXT)} characters")
            fill(engine)
            measure(engine)


def fill(engine: RunningEngine) -> None:
    """Store the posts by turns, and print what they take."""
    turns = Turns(engine)
    empty = memory(turns.engine)
    rooms = [f"room-{number:04}" for number in range(ROOMS)]
    turns.take(*(said(room, 0) for room in rooms[: ROOMS // 2]))
    turns.take(*(said(room, 0) for room in rooms[ROOMS // 2 :]))
    first = memory(turns.engine)
    began = time.perf_counter()
    for number in range(ROOMS, POSTS, TURN):
        turns.take(*(said(rooms[each % ROOMS], each) for each in range(number, number + TURN)))
    seconds = time.perf_counter() - began
    full = memory(turns.engine)
    print(f"stored in {seconds:.0f} s")
    print(f"a room with one post takes {(first - empty) / ROOMS:.0f} bytes,")
    print(f"each further post {(full - first) / (POSTS - ROOMS):.0f}, in all {full / 2**20:.0f} MB")
    topics = [
        Submission(1, room, "anna", f"the topic of {room}", kind="topic") for room in rooms[:500]
    ]
    turns.take(*topics)
    start(engine)
    for begin in range(0, OTHERS, 1_000):
        forget(turns.engine, range(begin, begin + 1_000))
    more = memory(turns.engine)
    print(
        f"{OTHERS:,} more rooms whose posts were deleted: {(more - full) / OTHERS:.0f} bytes each"
    )
    start(engine)
    turns.close()


def forget(connection: Engine, numbers: range) -> None:
    """Make rooms whose posts were deleted."""
    commands = [
        command
        for number in numbers
        for command in (
            ("ZADD", "{gc}:rooms", 0, f"old-{number}"),
            ("XADD", f"{{gc}}:room:old-{number}", "0-*", "t", 1, "p", "x"),
            ("XTRIM", f"{{gc}}:room:old-{number}", "MAXLEN", 0),
            ("HSET", "{gc}:oldest", f"old-{number}", 2),
        )
    ]
    connection.pipeline(commands)


def said(room: str, number: int) -> Submission:
    """Return a post, every other one with a key."""
    key = f"{number:022}" if number // ROOMS % 2 else None
    return Submission(number + 1, room, "somebody", TEXT, b"0123456789abcdef" * 2, key)


def memory(connection: Engine) -> int:
    """Return the bytes of the data without the feed."""
    connection.call("XTRIM", "{gc}:feed", "MAXLEN", 1)
    told = connection.call("INFO", "memory").decode()
    return int(told.split("used_memory_dataset:")[1].split("\r\n")[0])


def start(engine: RunningEngine) -> None:
    """Print how long a start takes, for a store whose former server is gone."""
    engine.call("HSET", "{gc}:life", "lease", 0)
    began = time.perf_counter()
    timeline = opened(engine)
    timeline.newest_posts("@")
    timeline.records("account")
    print(f"a server's timeline starts in {(time.perf_counter() - began) * 1e3:.0f} ms")
    timeline.close(5)


def opened(engine: RunningEngine) -> RedisTimeline:
    """Return a started timeline without a cache of posts."""
    timeline = RedisTimeline(lambda _: None, engine.url, LIMITS, recent_bytes=0)
    timeline.start()
    return timeline


def measure(engine: RunningEngine) -> None:
    """Print what reads take."""
    engine.call("HSET", "{gc}:life", "lease", 0)
    timeline = opened(engine)
    rooms = [f"room-{number * 37 % ROOMS:04}" for number in range(RUNS)]

    def opening(room: str) -> None:
        with timeline.opened(room):
            pass

    def resume(room: str) -> None:
        after, top, found = 0, timeline.position(room), list[Post]()
        while after < top:
            page = timeline.since(room, after, top)
            found += page
            after = page[-1].position
        assert len(found) == POSTS // ROOMS

    print(f"{'':24} median ms, worst of {RUNS} | CPU: node ms, engine ms")
    show(engine, "open a room", rooms, opening)
    for room in set(rooms):
        timeline.open(room)
    show(engine, "page of 50", rooms, lambda room: timeline.before(room, 700, 50))
    show(engine, "page of 100", rooms, lambda room: timeline.before(room, 700, 100))
    show(engine, "page of 500", rooms, lambda room: timeline.before(room, 700, 500))
    show(engine, "resume of 1,000 posts", rooms, resume)
    show(engine, "200 rooms with topics", rooms, lambda _: timeline.with_topic("", "room-02", 200))
    search(timeline)
    timeline.close(5)


def search(timeline: RedisTimeline) -> None:
    """Print how much a search gets through, and how long others wait for a page meanwhile."""
    names = [f"room-{number:04}" for number in range(200)]
    for name in names:
        timeline.open(name)
    scan = ScanSearch(timeline)
    for count in (3, 200):
        rooms = dict.fromkeys(names[:count], 1)
        began = time.perf_counter()
        found = scan.find(Query("absent"), rooms, author=None, before=None, limit=50)
        seconds = time.perf_counter() - began
        complete = "complete" if found.complete else "cut short"
        print(f"a search of {count} rooms of 1,000 posts: {seconds:.2f} s, {complete}")
    rooms = dict.fromkeys(names, 1)
    searches = [
        gevent.spawn(scan.find, Query("absent"), rooms, author=None, before=None, limit=50)
        for _ in range(4)
    ]
    waits = []
    while not all(search.ready() for search in searches):
        began = time.perf_counter()
        timeline.before("room-0999", 700, 50)
        waits.append((time.perf_counter() - began) * 1e3)
        gevent.sleep(0.01)
    print(f"a page of 50 beside four of them: median {statistics.median(waits):.2f} ms,", end=" ")
    print(f"worst of {len(waits)}: {max(waits):.2f}")


def show(engine: RunningEngine, what: str, rooms: list[str], read: Callable[[str], object]) -> None:
    """Print what one kind of read takes, over several rooms."""
    times = []
    read(rooms[0])
    before, own = engine_seconds(engine), time.process_time()
    for room in rooms:
        began = time.perf_counter()
        read(room)
        times.append((time.perf_counter() - began) * 1e3)
    node = (time.process_time() - own) / len(rooms) * 1e3
    used = (engine_seconds(engine) - before) / len(rooms) * 1e3
    median, worst = statistics.median(times), max(times)
    print(f"{what:24} {median:6.2f} {worst:8.2f} | {node:6.2f} {used:6.2f}", flush=True)


def engine_seconds(engine: RunningEngine) -> float:
    """Return the CPU time of the engine's main thread."""
    told = engine.call("INFO", "cpu").decode()
    lines = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return float(lines["used_cpu_user_main_thread"]) + float(lines["used_cpu_sys_main_thread"])


if __name__ == "__main__":
    main()

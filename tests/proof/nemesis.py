"""Injects faults into a server under load: kills, pauses, and what can happen to its store."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.proof import clients as processes
from tests.proof import contents, log
from tests.proof.bans import Bans
from tests.proof.checker import Run
from tests.proof.clients import Clients
from tests.proof.moments import FIRST_BOOT
from tests.proof.probe import DEAF_SECONDS, Probe
from tests.proof.server import FENCED, Failed, Server
from tests.proof.stores import STORES
from tests.proof.stores.base import CUT_OFF, Fault, Scene, Store

NAME: Final = "nemesis"
"""Whose lines in the log are about what was done to the server, and what it did then."""
_DRAIN_SECONDS: Final = 15.0
_NOTICED_SECONDS: Final = 60.0
"""After so long a node that was cut off has noticed, and has ended if others took it for dead."""
_COMPARED_SECONDS: Final = 3.0
"""After so long all nodes have found in an engine that was restarted what they know."""
_HELD_SECONDS: Final = 9.0
"""After so long nobody is listed any more who was lost, on a node that has ended either."""
_STARTS: Final = 4
"""How often a server is started that ends since its engine does not answer, as by systemd."""
_PROBED: Final = 0.5
"""The share of rounds after which it is waited until the server stores and delivers again."""


@dataclass(frozen=True)
class Plan:
    """The faults of a run."""

    rounds: int
    clients: int
    seed: int
    timeline: str = "sqlite"
    """One of STORES."""
    bug: str = "-"
    moments: tuple[str, ...] = ()
    """Moments at which the server may be killed, if not all."""
    at_random: float = 0.6
    """The share of kills at a random time."""
    kills: bool = True
    """Whether servers are killed."""
    faults: tuple[str, ...] = ()
    """Beginnings of the names of other faults, if not all."""
    lose: str | None = None
    """Lose history once, half way: a beginning of the name of a loss, empty for the first."""
    nodes: int = 1
    """On how many nodes the clients are."""
    keep: int | None = None
    """How many posts of each room are kept, if not all."""
    late_seconds: float | None = 600.0
    """How soon redacted texts have to be gone from what is cleaned up now and then only.

    None: do not wait for that at all.
    """


def run(plan: Plan, folder: Path) -> tuple[Run, Counter[str], list[float]]:
    """Run the plan; return the data to check, the faults, and the duration of each start."""
    dice = random.Random(plan.seed)
    faults: Counter[str] = Counter()
    with ExitStack() as stack:
        store = STORES[plan.timeline](folder, stack)
        server = Server(folder, store.timeline, plan.bug, *_options(plan, folder))
        stack.callback(server.kill)
        server.start(FIRST_BOOT)
        faults["kill at first boot"] += not server.runs()
        nodes = [server]
        nodes += [server.another(n, store.timeline_of(n)) for n in range(1, plan.nodes)]
        server.hosts += [each.host for each in nodes if plan.nodes > 1]
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        # After a loss nobody knows who has an account: then all are guests.
        cast = "" if plan.lose is not None else processes.cast(plan.clients, server)
        clients = stack.enter_context(Clients(folder, plan.clients, plan.seed, server, cast))
        clients.expect("ready")
        notes = stack.enter_context((folder / "nemesis.jsonl").open("w", encoding="utf-8"))
        stack.enter_context(log.begin(notes))
        scene = Scene(server, nodes, clients, dice, stack, _note)
        probe = Probe(server.port, server.hosts, lambda: _revive(scene, faults))
        bans = Bans(folder, scene)
        for number in range(plan.rounds):
            _round(plan, store, scene, faults)
            loses = plan.lose is not None and number == plan.rounds // 2
            if loses:
                _revive(scene, faults)
                probe.hears()  # while nothing is stored there is nothing to lose
                _inject(_loss(store, plan.lose or ""), store.losses, scene, faults)
            _revive(scene, faults)
            if dice.random() < _PROBED or loses:
                if not probe.hears():
                    scene.note("deaf", f"nothing was stored and delivered for {DEAF_SECONDS:g} s")
                elif plan.nodes > 1:
                    bans.try_one()
        time.sleep(1.0)
        clients.tell("stop")
        clients.expect("silent")
        if plan.nodes > 1:
            time.sleep(_HELD_SECONDS)
            _revive(scene, faults)
        judged = store.read()
        judged.lost = plan.lose is not None
        if plan.late_seconds is not None and plan.lose is None:
            contents.look_for_remains(judged, store.places(plan.late_seconds))
        names = {name: room for room, name in judged.names.items()}
        tops = {names.get(post.room, post.room): post.position for post in judged.stored}
        clients.tell(json.dumps(tops))
        clients.expect("gone")
        clients.tell("look")
        clients.end()
        for node in nodes:
            node.signal(signal.SIGTERM)
        if not all(node.wait(15) for node in nodes):
            raise Failed("a server does not end")
    judged.load([*clients.files, notes.name])
    judged.recovered = probe.seconds
    return judged, faults, server.ready_seconds


def _options(plan: Plan, folder: Path) -> list[str]:
    limits = []
    if plan.keep is not None:
        limits.append(f"history_posts_per_room = {plan.keep}")
    if plan.nodes > 1:
        limits.append("nick_hold_seconds = 2")
    if not limits:
        return []
    settings = folder / "settings.toml"
    settings.write_text("\n".join(["[limits]", *limits, ""]), "ascii")
    return ["--config", str(settings)]


def _note(kind: str, *what: object) -> None:
    log.write(NAME, kind, *what)


def _loss(store: Store, name: str) -> str:
    """Return the first loss whose name begins so."""
    return next(each for each in store.losses if each.startswith(name))


def _round(plan: Plan, store: Store, scene: Scene, faults: Counter[str]) -> None:
    """Inject a fault, or kill the server, or both."""
    dice = scene.dice
    scene.server = dice.choice(scene.nodes)
    every = {
        name: fault
        for name, fault in {**_FAULTS, **store.faults}.items()
        if not plan.faults or name.startswith(plan.faults)
    }
    if plan.nodes > 1:  # one that is killed with the engine cannot say what it has seen
        every.pop("engine and server killed", None)
    if dice.random() < store.fault_share:
        name = dice.choice(list(every))
        _inject(name, every, scene, faults)
        if plan.nodes > 1 and name.startswith("engine"):
            time.sleep(_COMPARED_SECONDS)
    if plan.kills and dice.random() < store.kill_share:
        scene.server = dice.choice(scene.nodes)
        if dice.random() < plan.at_random:
            _kill_at_random(scene, faults)
        else:
            _kill_at(dice.choice(plan.moments or store.moments), scene, faults)


def _inject(name: str, among: Mapping[str, Fault], scene: Scene, faults: Counter[str]) -> None:
    scene.note("fault", name)
    among[name](scene)
    if name in CUT_OFF:
        scene.cut_off = time.monotonic()
    scene.note("over", name)
    faults[name] += 1


def _pause_readers(scene: Scene) -> None:
    scene.clients.pause(scene.dice)


def _pause_server(scene: Scene) -> None:
    scene.server.signal(signal.SIGSTOP)
    time.sleep(scene.dice.uniform(0.05, 0.3))
    scene.server.signal(signal.SIGCONT)


_FAULTS: Final[Mapping[str, Fault]] = {
    "readers paused": _pause_readers,
    "server paused": _pause_server,
}


def _kill_at_random(scene: Scene, faults: Counter[str]) -> None:
    time.sleep(scene.dice.uniform(0.2, 1.0))
    scene.server.kill()
    faults["kill at random"] += 1
    scene.server.start()


def _kill_at(moment: str, scene: Scene, faults: Counter[str]) -> None:
    """Shut the server down, and start one that is killed at a moment, or soon."""
    server, dice = scene.server, scene.dice
    server.signal(signal.SIGTERM)
    server.wait(15)
    faults["drain"] += 1
    often = moment.startswith("after") or "records" in moment
    server.start(f"{moment}:{dice.randrange(1, 40) if often else 1}")
    if moment.startswith("when"):
        time.sleep(dice.uniform(0.2, 0.6))
        server.signal(signal.SIGTERM)
    if server.wait(1.5):
        faults[f"kill {moment}"] += 1
    else:
        server.kill()
        faults["kill at random"] += 1
    server.start()


def _revive(scene: Scene, faults: Counter[str]) -> None:
    """Start each server again that has ended by itself.

    It may while it is starting; and a node may that the others took for dead while it was cut off.
    """
    for node in scene.nodes:
        if node.runs() and not node.has_logged("shutting down: "):
            continue
        node.wait(_DRAIN_SECONDS)
        if not node.ready:
            faults["server ended while it started"] += 1
        elif node.has_logged(FENCED) and time.monotonic() < scene.cut_off + _NOTICED_SECONDS:
            faults["node taken for dead"] += 1
        else:
            scene.note("deaf", f"the server ended by itself with exit code {node.exit_code}")
        for _ in range(_STARTS):
            node.start()
            if node.exit_code != os.EX_TEMPFAIL:
                break
        if not node.runs():
            raise Failed(f"the server does not start: exit code {node.exit_code}")

"""deploy/cluster.yaml and deploy/haproxy.cfg: two servers as one, behind a real HAProxy."""

import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

import gevent

from geventchat.client import Connection, Post
from geventchat.server.timeline.redis import fitness
from tests.command import run
from tests.conversations.documented import require
from tests.engines import RunningEngine, running
from tests.process import Process, served
from tests.test_deploy import ROOT, instruction, mapping
from tests.workers import until

CONFIG: Final = ROOT / "deploy" / "haproxy.cfg"
SERVERS: Final = ("one", "two")


def compose() -> dict[str, Any]:
    """Return deploy/cluster.yaml, as far as that uses YAML."""
    return mapping("cluster.yaml")


def test_the_redis_loses_nothing() -> None:
    program, *options = shlex.split(compose()["services"]["redis"]["command"])
    assert program == "redis-server"
    with running("redis", *options, durable=False) as engine:
        fitness.check(engine.url)


def test_the_servers_have_the_same_valid_settings_and_the_same_operator_token() -> None:
    one, two = (compose()["services"][name] for name in SERVERS)
    assert one["environment"] == two["environment"]
    assert one["volumes"] == two["volumes"] == [f"geventchat:{instruction('VOLUME')}"]
    settings = run("config", **one["environment"]).stdout
    assert 'timeline = "redis://redis"' in settings
    assert f'operator_file = "{instruction("VOLUME")}/operator"' in settings
    assert two["depends_on"] == {"one": {"condition": "service_healthy"}}  # which makes the token


def test_only_the_balancer_names_clients_and_only_its_ports_are_published() -> None:
    services = compose()["services"]
    balancer = services["haproxy"]
    address = balancer["networks"]["default"]["ipv4_address"]
    for name in SERVERS:
        found = services[name]["environment"]
        assert found["GEVENTCHAT_PROXY"] == found["GEVENTCHAT_WEB_PROXY"] == f"{address}/32"
        assert "ports" not in services[name]
    published = [port.partition(":")[0] for port in balancer["ports"]]
    assert published == re.findall(r"bind :(\d+)", CONFIG.read_text()) == ["4040", "8040"]
    assert balancer["volumes"][0].startswith(f"./{CONFIG.name}:")


def test_docker_gives_the_address_of_the_balancer_to_no_other_container() -> None:
    found = compose()
    network = dict(line.split(": ") for line in found["networks"]["default"]["ipam"]["config"])
    subnet, given = IPv4Network(network["subnet"]), IPv4Network(network["ip_range"])
    address = IPv4Address(found["services"]["haproxy"]["networks"]["default"]["ipv4_address"])
    assert address in subnet
    assert given.subnet_of(subnet)
    assert address not in given


@contextmanager
def balanced(folder: Path, servers: list[Process]) -> Iterator[int]:
    """Run HAProxy with the file before servers; yield its chat port."""
    require("haproxy")
    text = CONFIG.read_text("utf-8").replace(" resolvers docker init-addr libc,none", "")
    text = text.replace("inter 1s", "inter 100ms")
    for name, server in zip(SERVERS, servers, strict=True):
        for kind, port in (("4040", server.address[1]), ("8040", _port(server, "browsers"))):
            admin = _port(server, "healthz")
            shown = f"server {name} {name}:{kind}"
            assert shown in text
            text = text.replace(shown, f"server {name} 127.0.0.1:{port} port {admin}")
    with ExitStack() as stack:
        doors = [
            stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(2)
        ]
        for number, door in zip(("4040", "8040"), doors, strict=True):
            text = text.replace(f"bind :{number}", f"bind fd@{door.fileno()}")
        file = folder / "haproxy.cfg"
        file.write_text(text)
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        with subprocess.Popen(
            [program, "-db", "-f", str(file)], pass_fds=[door.fileno() for door in doors]
        ) as process:
            try:
                yield doors[0].getsockname()[1]
                assert process.poll() is None
            finally:
                process.kill()


def _port(server: Process, text: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", server.line(text))
    assert found
    return int(found[1])


def test_clients_are_dealt_over_both_servers_and_come_back_on_the_other(
    tmp_path: Path, engines: Any
) -> None:
    engine: RunningEngine = engines("valkey")
    options = ["--timeline", engine.url, "--admin", "127.0.0.1:0", "--web", "127.0.0.1:0"]
    options += ["--proxy", "127.0.0.1/32", "--web-proxy", "127.0.0.1/32"]
    with ExitStack() as stack:
        servers = []
        for name in SERVERS:
            folder = tmp_path / name
            folder.mkdir()
            servers.append(stack.enter_context(served(folder, *options)))
        port = stack.enter_context(balanced(tmp_path, servers))
        people = [
            stack.enter_context(Connection("127.0.0.1", port, nick=nick, rooms=["tea"]))
            for nick in ("Ann", "Bob", "Cem", "Dot")
        ]
        until(lambda: all(len(server.lines("is now known as")) == 2 for server in servers))
        people[0].say("tea", "hello")
        servers[0].signal(signal.SIGTERM)
        assert gevent.get_hub().threadpool.apply(servers[0].wait, (20,)) == 0
        for number, person in enumerate(people):
            person.say("tea", f"back {number}")
        for person in people:
            assert _texts(person, 5) == ["hello", *(f"back {number}" for number in range(4))]


def _texts(chat: Connection, count: int) -> list[str]:
    """Return the first texts that a client hears in a room."""
    found: list[str] = []
    with suppress(StopIteration), gevent.Timeout(20):
        for event in chat:
            if isinstance(event, Post) and event.room == "tea":
                found.append(event.text)
            if len(found) == count:
                break
    return found

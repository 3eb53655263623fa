"""deploy/geventchat.service and the Dockerfile, as far as they can be tested without either."""

import configparser
import fnmatch
import itertools
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from geventchat.config import Config
from geventchat.server.timeline.redis import fitness
from tests.command import first_line, port, run, serving
from tests.engines import running

ROOT: Final = Path(__file__).parent.parent
UNIT: Final = ROOT / "deploy" / "geventchat.service"
PROGRAM: Final = Path(sys.executable).with_name("geventchat")
DEFAULT: Final = Config()


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    """Return the [Service] section of the unit; of repeated keys, the last."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here"
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, service: dict[str, str]) -> None:
    installed = service["ExecStart"].split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace(installed, str(PROGRAM)))
    for command in ("verify", "security --offline=yes --threshold=20"):
        done = subprocess.run(
            ["systemd-analyze", *command.split(), str(copy)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_the_server_with_existing_options(
    tmp_path: Path, service: dict[str, str]
) -> None:
    file = tmp_path / "geventchat.toml"
    file.write_text(run("config").stdout)
    _, *arguments = shlex.split(service["ExecStart"].replace("/etc/geventchat.toml", str(file)))
    assert arguments[0] == "serve"
    done = run("config", "--check", *arguments[1:])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_does_not_kill_the_server_before_its_drain_ends(service: dict[str, str]) -> None:
    assert int(service["TimeoutStopSec"]) > DEFAULT.drain_seconds


def test_the_unit_does_not_restart_after_a_usage_error(service: dict[str, str]) -> None:
    code = run("serve", "--port", "none").returncode
    assert service["RestartPreventExitStatus"] == str(code)


def test_the_unit_waits_until_the_server_is_ready(tmp_path: Path, service: dict[str, str]) -> None:
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 30
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(15)
        with serving(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="60000000") as process:
            assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
            process.terminate()
            assert systemd.recv(100).startswith(b"STOPPING=1")


def test_the_unit_restarts_without_end_after_trouble_that_may_pass(service: dict[str, str]) -> None:
    code = run("serve", "--port", "0", "--timeline", "memory:", "--host", "192.0.2.1").returncode
    assert str(code) not in service["RestartPreventExitStatus"].split()
    assert service["Restart"] == "on-failure"
    assert "\nStartLimitIntervalSec=0\n" in UNIT.read_text("utf-8").partition("[Service]")[0]


# The image


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, each on one line."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    found = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, arguments.strip()) for name, _, arguments in found]


def instruction(name: str) -> str:
    """Return the arguments of the last instruction of that name."""
    return [text for other, text in instructions() if other == name][-1]


def environment() -> dict[str, str]:
    """Return the settings in the environment of the image."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(instruction("ENV")))
    return {name: value for name, value in pairs.items() if name.startswith("GEVENTCHAT_")}


def in_context(path: str) -> bool:
    """Return whether .dockerignore lets a file into the build context."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        above = [path, *map(str, Path(path).parents)]
        if line and line[0] != "#" and any(fnmatch.fnmatch(part, pattern) for part in above):
            kept = line.startswith("!")
    return kept


def test_the_image_contains_the_whole_package_and_no_private_files() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = ["pyproject.toml", "requirements.txt", project["readme"], *project["license-files"]]
    for kind in "py", "lua":
        needed += [str(file.relative_to(ROOT)) for file in (ROOT / "geventchat").rglob(f"*.{kind}")]
    needed += [str(file.relative_to(ROOT)) for file in (ROOT / "geventchat/page").rglob("*.*")]
    assert [file for file in needed if not in_context(file)] == []
    for file in (".git/config", ".venv/bin/python", "geventchat.db", "tests/test_cli.py"):
        assert not in_context(file)


def test_the_image_starts_the_server_with_valid_settings() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["geventchat"]
    serve, *arguments = json.loads(instruction("CMD"))
    assert serve == "serve"
    settings = tomllib.loads(run("config", *arguments, **environment()).stdout)
    for name, value in environment().items():
        assert str(settings[name.removeprefix("GEVENTCHAT_").lower()]) == value
    assert settings["host"] == "0.0.0.0"
    web = settings["web"].removeprefix("0.0.0.0:")
    assert [str(settings["port"]), web] == instruction("EXPOSE").split()


def test_what_a_file_cannot_change_in_the_image_is_documented(tmp_path: Path) -> None:
    file = tmp_path / "geventchat.toml"
    file.write_text('web = "none"\n')
    assert 'web = "0.0.0.0:8040"' in run("config", "--config", str(file), **environment()).stdout
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (docker,) = re.findall(r"\*\*With Docker\.\*\*.*?(?=\n\*\*)", text, re.DOTALL)
    (sentence,) = re.findall(r"The image sets ([^:]*) in\s+the environment", docker)
    assert re.findall(r"`(\w+)`", sentence) == [*environment()]


def test_the_image_drains_before_docker_stop_kills() -> None:
    assert int(environment()["GEVENTCHAT_DRAIN_SECONDS"]) < 10


def test_the_image_runs_unprivileged_in_its_data_volume() -> None:
    assert instruction("USER").isdecimal()
    assert instruction("USER") != "0"
    assert instruction("WORKDIR") == instruction("VOLUME")


def test_the_health_check_of_the_image_follows_its_server() -> None:
    check = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    own = environment()["GEVENTCHAT_ADMIN"].rpartition(":")[2]
    assert own in check[-1]

    def healthy(number: int) -> bool:
        command = [sys.executable, *check[1:-1], check[-1].replace(own, str(number))]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

    with serving("--admin", "127.0.0.1:0") as process:
        port(first_line(process))
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", first_line(process))
        assert found
        assert healthy(int(found[1]))
    assert not healthy(int(found[1]))


# Compose


def compose() -> dict[str, Any]:
    """Return deploy/compose.yaml."""
    return mapping("compose.yaml")


def mapping(name: str) -> dict[str, Any]:
    """Return a file of deploy/, as far as that uses YAML."""
    text = (ROOT / "deploy" / name).read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    return dict(_mapping(lines))


def _mapping(lines: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield what is in the lines of a mapping."""
    depth = len(lines[0]) - len(lines[0].lstrip())
    starts = [at for at, line in enumerate(lines) if line[depth] != " "]
    for start, end in itertools.pairwise([*starts, len(lines)]):
        name, _, value = lines[start].strip().partition(":")
        inner = lines[start + 1 : end]
        if not inner:
            yield name, value.strip()
        elif inner[0].strip().startswith("- "):
            yield name, [line.strip().removeprefix("- ") for line in inner]
        else:
            yield name, dict(_mapping(inner))


def test_the_redis_of_the_compose_file_loses_nothing() -> None:
    redis = compose()["services"]["redis"]
    program, *options = shlex.split(redis["command"])
    assert program == "redis-server"
    assert redis["volumes"] == ["redis:/data"]
    with running("redis", *options, durable=False) as engine:
        fitness.check(engine.url)


def test_the_server_of_the_compose_file_has_valid_settings_and_keeps_its_files() -> None:
    found = compose()
    server = found["services"]["geventchat"]
    settings = tomllib.loads(run("config", **server["environment"]).stdout)
    assert settings["timeline"] == "redis://redis"
    assert settings["operator_file"].startswith(instruction("VOLUME"))
    assert server["volumes"] == [f"geventchat:{instruction('VOLUME')}"]
    assert {*found["volumes"]} == {*found["services"]}
    assert [port.partition(":")[0] for port in server["ports"]] == instruction("EXPOSE").split()
    assert server["depends_on"] == {"redis": {"condition": "service_healthy"}}

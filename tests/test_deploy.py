"""deploy/geventchat.service and the Dockerfile, as far as they can be tried without either."""

import configparser
import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from geventchat.config import Config
from tests.test_cli import first_line, port, run, serving

ROOT: Final = Path(__file__).parent.parent
UNIT: Final = ROOT / "deploy" / "geventchat.service"
PROGRAM: Final = Path(sys.executable).with_name("geventchat")
DEFAULT: Final = Config()


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    """Give the unit's section on the service; of what is there twice, the last."""
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
            timeout=15,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_what_there_is(tmp_path: Path, service: dict[str, str]) -> None:
    file = tmp_path / "geventchat.toml"
    file.write_text(run("config").stdout)
    _, *arguments = shlex.split(service["ExecStart"].replace("/etc/geventchat.toml", str(file)))
    assert arguments[0] == "serve"
    done = run("config", "--check", *arguments[1:])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_leaves_time_for_the_last_words(service: dict[str, str]) -> None:
    assert int(service["TimeoutStopSec"]) > DEFAULT.drain_seconds


def test_the_unit_does_not_start_again_what_cannot_be_used(service: dict[str, str]) -> None:
    code = run("serve", "--port", "none").returncode
    assert service["RestartPreventExitStatus"] == str(code)


# The image


def instructions() -> list[tuple[str, str]]:
    """Give each instruction of the Dockerfile with what it is told, on one line."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    found = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, told.strip()) for name, _, told in found]


def told(name: str) -> str:
    """Give what the last instruction of that name is told."""
    return [text for other, text in instructions() if other == name][-1]


def environment() -> dict[str, str]:
    """Give the settings that the image gives to the server."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(told("ENV")))
    return {name: value for name, value in pairs.items() if name.startswith("GEVENTCHAT_")}


def in_context(path: str) -> bool:
    """Say whether a file gets past .dockerignore."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        above = [path, *map(str, Path(path).parents)]
        if line and line[0] != "#" and any(fnmatch.fnmatch(part, pattern) for part in above):
            kept = line.startswith("!")
    return kept


def test_the_image_has_all_that_the_package_is_made_of_and_nothing_of_ours() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = ["pyproject.toml", "requirements.txt", project["readme"], *project["license-files"]]
    needed += [str(file.relative_to(ROOT)) for file in (ROOT / "geventchat").rglob("*.py")]
    assert [file for file in needed if not in_context(file)] == []
    for file in (".git/config", ".venv/bin/python", "geventchat.db", "tests/test_cli.py"):
        assert not in_context(file)


def test_the_image_starts_what_there_is() -> None:
    assert json.loads(told("ENTRYPOINT")) == ["geventchat"]
    serve, *arguments = json.loads(told("CMD"))
    assert serve == "serve"
    settings = tomllib.loads(run("config", *arguments, **environment()).stdout)
    for name, value in environment().items():
        assert str(settings[name.removeprefix("GEVENTCHAT_").lower()]) == value
    assert settings["host"] == "0.0.0.0"
    assert str(settings["port"]) == told("EXPOSE")


def test_the_image_has_said_its_last_words_when_docker_stop_kills() -> None:
    assert int(environment()["GEVENTCHAT_DRAIN_SECONDS"]) < 10


def test_the_image_runs_as_nobody_in_particular_where_its_posts_are_kept() -> None:
    assert told("USER").isdecimal()
    assert told("USER") != "0"
    assert told("WORKDIR") == told("VOLUME")


def test_the_images_health_is_that_of_its_server() -> None:
    check = json.loads(told("HEALTHCHECK").partition("CMD ")[2])
    own = environment()["GEVENTCHAT_ADMIN"].rpartition(":")[2]
    assert own in check[-1]

    def healthy(number: int) -> bool:
        command = [sys.executable, *check[1:-1], check[-1].replace(own, str(number))]
        return subprocess.run(command, capture_output=True, timeout=15, check=False).returncode == 0

    with serving("--admin", "127.0.0.1:0") as process:
        port(first_line(process))
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", first_line(process))
        assert found
        assert healthy(int(found[1]))
    assert not healthy(int(found[1]))

"""`--timeline redis://…` as a setting: what is refused, and that no password is shown."""

import re
import signal
import subprocess
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from geventchat.cli import main
from geventchat.config import Config
from geventchat.config.file import written
from tests.command import COMMAND, refusal, run
from tests.engines import running

_SECRET = "redis://ada:hunter2@127.0.0.1:1"
_SHOWN = "redis://ada:***@127.0.0.1:1"
_START = "; start Redis or Valkey there, on Debian with: systemctl start redis-server"


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["config", "--check"]])
def test_a_start_and_a_check_refuse_the_same_in_one_line(command: list[str]) -> None:
    with running("valkey", "--appendonly", "no") as engine:
        line = refusal(*command, "--timeline", engine.url)
    redis = f"redis-cli -s {engine.path}"
    mends = f"run: {redis} CONFIG SET appendonly yes && {redis} CONFIG REWRITE"
    has = "it has appendonly no, which would lose messages"
    assert line == f"geventchat: --timeline {engine.url}: {has}; {mends}"


def test_a_check_accepts_an_engine_that_loses_nothing() -> None:
    with running("valkey") as engine:
        assert run("config", "--check", "--timeline", engine.url).returncode == 0
        assert engine.call("DBSIZE") == 0


def test_a_url_that_says_nothing_is_named_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('timeline = "redis://host/one"')
    reason = "has a database that is not a number, such as 0"
    line = refusal("config", "--check", "--config", str(file))
    assert line == f"geventchat: {file}: timeline redis://host/one: {reason}"
    line = refusal("config", "--check", GEVENTCHAT_TIMELINE="redis://host/one")
    assert line == f"geventchat: GEVENTCHAT_TIMELINE redis://host/one: {reason}"


def test_an_engine_that_is_not_there_may_be_there_later() -> None:
    line = refusal("serve", "--port", "0", code=75, GEVENTCHAT_TIMELINE=_SECRET)
    assert line == f"geventchat: GEVENTCHAT_TIMELINE {_SHOWN}: Connection refused{_START}"
    line = refusal("config", "--check", "--timeline", "unix:///none/redis.sock", code=75)
    assert line.endswith(f"/none/redis.sock: No such file or directory{_START}")


def test_a_password_on_the_command_line_is_warned_of_and_not_shown() -> None:
    done = run("serve", "--port", "0", "--timeline", _SECRET)
    warning, reason = done.stderr.splitlines()
    assert warning == (
        "geventchat: the password in --timeline is visible in the process list;"
        " use GEVENTCHAT_TIMELINE, or a file with --config"
    )
    assert reason == f"geventchat: --timeline {_SHOWN}: Connection refused{_START}"
    assert done.stdout == ""


def test_a_server_runs_and_shows_its_password_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with running("valkey", "--requirepass", "hunter2") as engine:
        monkeypatch.setenv("GEVENTCHAT_TIMELINE", engine.url.replace("://", "://:hunter2@"))
        command = [
            *COMMAND,
            "serve",
            "--port",
            "0",
            "--log-format",
            "json",
            "--admin",
            "127.0.0.1:0",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                assert process.stdout is not None
                begun = process.stdout.readline() + process.stdout.readline()
                (admin,) = re.findall(r"http://127.0.0.1:(\d+)/", begun)
                pages = [fetched(int(admin), page) for page in ("/healthz", "/metrics", "/top")]
                process.send_signal(signal.SIGTERM)
                shown = "".join((begun, *pages, process.stdout.read()))
                assert process.wait(30) == 0
            finally:
                process.kill()
    assert f"stored in unix://:***@{engine.path}" in shown
    assert "hunter2" not in shown


def fetched(port: int, page: str) -> str:
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as admin:
        admin.request("GET", page)
        return admin.getresponse().read().decode()


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False)])
@pytest.mark.parametrize("setting", ['password = "hunter2"', 'timeline = "{url}"'])
def test_a_settings_file_with_a_password_that_all_can_read_is_warned_of(
    setting: str, mode: int, warned: bool, tmp_path: Path
) -> None:
    file = tmp_path / "chat.toml"
    with running("valkey", "--requirepass", "hunter2") as engine:
        url = engine.url.replace("://", "://:hunter2@")
        file.write_text(setting.format(url=url))
        file.chmod(mode)
        done = run("config", "--check", "--config", str(file))
    name = setting.partition(" ")[0]
    warning = f"geventchat: {file}: {name} has a password, and {file} is world-readable;"
    assert done.returncode == 0
    assert done.stderr.startswith(warning) is warned
    assert bool(done.stderr) is warned
    assert "hunter2" not in done.stderr + done.stdout


def test_the_printed_config_has_no_password_and_is_no_trap() -> None:
    lines = run("config", GEVENTCHAT_TIMELINE=_SECRET).stdout.splitlines()
    (line,) = (each for each in lines if "timeline = " in each)
    source = "GEVENTCHAT_TIMELINE, its password not shown"
    assert line == f'# timeline = "{_SHOWN}"  # {source}'  # not used with *** for a password
    assert "hunter2" not in written(Config(timeline=_SECRET), {})


@pytest.mark.parametrize("arguments", ["--help", "serve --help", "config --help", "config"])
def test_a_password_in_the_environment_is_never_printed(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEVENTCHAT_TIMELINE", _SECRET)
    main(arguments.split())
    assert "hunter2" not in "".join(capsys.readouterr())


def test_a_config_is_not_represented_with_a_password() -> None:
    assert "hunter2" not in repr(Config(timeline=_SECRET))


def test_without_hiredis_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "hiredis.py").write_text("raise ImportError")
    line = refusal("serve", "--port", "0", "--timeline", "redis://host", PYTHONPATH=str(tmp_path))
    reason = "needs the package hiredis; run: pip install 'geventchat[redis]'"
    assert line == f"geventchat: --timeline redis://host: {reason}"


def test_without_hiredis_other_timelines_work(tmp_path: Path) -> None:
    (tmp_path / "hiredis.py").write_text("raise ImportError")
    arguments = ["config", "--check", "--timeline", "memory:"]
    assert run(*arguments, PYTHONPATH=str(tmp_path)).returncode == 0

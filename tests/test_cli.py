"""The command line as its users meet it: its commands, and what cannot be used is one line."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest

from geventchat import __version__
from geventchat.cli import commands, main
from tests.command import refusal, run


def test_version_is_printed() -> None:
    assert run("--version").stdout == f"geventchat {__version__}\n"


def test_without_a_command_the_commands_are_listed() -> None:
    output = run().stdout
    assert "serve" in output
    assert "connect" in output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "99999"], "--port 99999: is not in the range 0 to 65535"),
        (["--port", "abc"], "--port abc: is not a whole number"),
        (["--port"], "Option '--port' requires an argument."),
        (
            ["--timeline", "redis"],
            "--timeline redis: is none of sqlite:PATH, redis://HOST and memory:",
        ),
        (["--trust", "home"], "--trust home: home is not a network such as 10.0.0.0/8"),
        (["--log-format", "xml"], "--log-format xml: is neither text nor json"),
        (["--config", "none.toml"], "--config none.toml: No such file or directory"),
        (["now"], "Got unexpected extra argument (now)"),
    ],
)
def test_an_unusable_option_is_one_line_and_exit_2(arguments: list[str], line: str) -> None:
    assert refusal("serve", *arguments) == f"geventchat: {line}"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("serve --port -1", "--port -1: is not in the range 0 to 65535"),
        ("serve --port 65536", "--port 65536: is not in the range 0 to 65535"),
        ("serve --port ''", '--port "": is not a whole number'),
        ("serve --port ' 1'", '--port " 1": is not a whole number'),
        ("serve --port ٣", "--port ٣: is not a whole number"),
        ("serve --port 1e3", "--port 1e3: is not a whole number"),
        ("serve --host ''", '--host "": is not a host name or address'),
        ("serve --host a..b", "--host a..b: is not a host name or address"),
        ("serve --timeline ''", '--timeline "": is none of sqlite:PATH, redis://HOST and memory:'),
        (
            "serve --timeline sqlite:",
            "--timeline sqlite:: is none of sqlite:PATH, redis://HOST and memory:",
        ),
        (
            "serve --trust ''",
            '--trust "": an empty text is not a network such as 10.0.0.0/8',
        ),
        ("serve --admin here", "--admin here: is neither HOST:PORT nor none"),
        ("serve --drain-seconds 0", "--drain-seconds 0: is not in the range 1 to 600"),
        ("serve --password-file ''", '--password-file "": is not the path of a file'),
        ("serve --config ''", '--config "": is not the path of a file'),
        ("serve --config .", "--config .: Is a directory"),
        ("config --check --timeline sqlite:/", "--timeline sqlite:/: Is a directory"),
        ("config --check --tls-cert /", "--tls-cert /: Is a directory"),
        ("config --check --tls-cert /dev/null", "--tls-cert /dev/null: holds no certificate"),
        ("config --check --tls-key /", "--tls-key /: requires --tls-cert"),
        ("connect a..b", "host a..b: is not a host name or address"),
        ("connect :-1", "port -1: is not in the range 0 to 65535"),
        ("connect :" + "9" * 5_000, "port " + "9" * 5_000 + ": is not a whole number"),
        ("connect --password-file none", "--password-file none: No such file or directory"),
        ("admin", "missing argument ACTION; see geventchat admin --help"),
        ("account add", "missing argument NICK; see geventchat account --help"),
        ("hook add", "missing argument ROOM; see geventchat hook --help"),
        ("hook revoke", "missing argument ID, which `list` shows; see geventchat hook --help"),
        ("admin list --server :x", "port x: is not a whole number"),
        ("admin list extra", "TARGET extra: list takes no target"),
        ("admin close extra", "TARGET extra: close takes no target"),
        ("admin open extra", "TARGET extra: open takes no target"),
        ("admin list ''", 'TARGET "": list takes no target'),
        ("serv", "No such command 'serv'. Did you mean 'serve'?"),
        (
            "history export --timeline memory:",
            "--timeline memory:: has no stored history; use sqlite:PATH or redis://HOST",
        ),
        (
            "history trim",
            "No retention limit is set; give a --config file with [limits] for the history.",
        ),
    ],
    ids=lambda text: text[:50],
)
def test_an_unusable_value_is_found_before_the_start(
    arguments: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(arguments)) == 2
    assert capsys.readouterr() == ("", f"geventchat: {line}\n")


@pytest.mark.parametrize("arguments", [[], ["history"]])
def test_a_missing_command_lists_the_commands(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    output, errors = capsys.readouterr()
    assert "Commands:" in output
    assert "..." not in output.partition("Commands:")[2]  # each summary fits its line
    assert errors == ""


def test_a_misspelt_option_is_one_line_with_a_suggestion() -> None:
    line = refusal("serve", "--prot", "1")
    assert "--prot" in line
    assert "--port" in line


def test_a_wrong_variable_is_named() -> None:
    line = refusal("serve", GEVENTCHAT_PORT="99999")
    assert line == "geventchat: GEVENTCHAT_PORT 99999: is not in the range 0 to 65535"


def test_a_variable_that_is_neither_true_nor_false_is_named() -> None:
    line = refusal("serve", GEVENTCHAT_ECHO="maybe")
    assert line.startswith("geventchat: GEVENTCHAT_ECHO: 'maybe' is not a valid boolean")


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("timeline", "sqlite:/", "Is a directory"),
        ("timeline", "sqlite:none/chat.db", "no file can be made there"),
        ("password_file", "none", "No such file or directory"),
        ("operator_file", "/", "Is a directory"),
        ("tls_cert", "/dev/null", "holds no certificate"),
        ("tls_key", "/", "requires --tls-cert"),
        ("host", "192.0.2.1", "Cannot assign requested address"),
    ],
)
def test_a_setting_that_a_server_cannot_use_is_named_as_it_was_given(
    setting: str,
    value: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chat.toml").write_text(f"{setting} = {json.dumps(value)}")
    flag, variable = f"--{setting.replace('_', '-')}", f"GEVENTCHAT_{setting.upper()}"

    def complaint(*arguments: str) -> str:
        assert main(["config", "--check", *arguments]) == (75 if setting == "host" else 2)
        return capsys.readouterr().err

    assert complaint(flag, value) == f"geventchat: {flag} {value}: {reason}\n"
    assert complaint("--config", "chat.toml") == (
        f"geventchat: chat.toml: {setting} {value}: {reason}\n"
    )
    monkeypatch.setenv(variable, value)
    assert complaint("--config", "chat.toml") == f"geventchat: {variable} {value}: {reason}\n"


@pytest.mark.parametrize(
    ("arguments", "variable", "value"),
    [
        ("connect", "PASSWORD_FILE", "none"),
        ("connect", "OPERATOR_FILE", "none"),
        ("admin list", "OPERATOR_FILE", "none"),
        ("history check", "TIMELINE", "sqlite:none"),
        ("history check", "TIMELINE", "redis"),
        ("history renew", "TIMELINE", "sqlite:none/chat.db"),
    ],
)
def test_an_option_that_a_command_cannot_use_is_named_as_it_was_given(
    arguments: str,
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(f"GEVENTCHAT_{variable}", value)
    assert main(shlex.split(arguments)) == 2
    assert capsys.readouterr().err.startswith(f"geventchat: GEVENTCHAT_{variable} {value}: ")


@pytest.mark.parametrize("address", ["localhost:99999", "[::1]:x"])
def test_an_invalid_address_is_one_line_and_exit_2(address: str) -> None:
    number = address.rpartition(":")[2]
    assert refusal("connect", address).startswith(f"geventchat: port {number}: is not ")


def test_escape_sequences_in_errors_are_escaped() -> None:
    assert refusal("serve", "--port", "\x1b[2J\n") == (
        r'geventchat: --port "\x1b[2J\n": is not a whole number'
    )


@pytest.mark.parametrize("setting", ["port", "admin"])
def test_a_taken_port_is_named_as_it_was_given(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEVENTCHAT_ADMIN", raising=False)
    file = tmp_path / "chat.toml"
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        number = taken.getsockname()[1]
        settings = {"timeline": "memory:", "port": 0, "admin": "none", "web": "none"}
        settings[setting] = number if setting == "port" else f"127.0.0.1:{number}"
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        file.write_text("".join(lines))
        line = refusal("serve", "--config", str(file), code=75)
        assert line == f"geventchat: {file}: {setting} {settings[setting]}: Address already in use"


def test_a_directory_for_a_database_is_one_line_and_exit_2(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}"
    line = refusal("serve", "--port", "0", "--timeline", timeline)
    assert line == f"geventchat: --timeline {timeline}: Is a directory"
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_written_is_one_line_and_exit_2(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/none/chat.db"
    line = refusal("serve", "--port", "0", "--timeline", timeline)

    assert line.startswith(f"geventchat: --timeline {timeline}: ")


def options(command: click.Command) -> set[str]:
    """Return the names of the options of a command and its subcommands."""
    own = {max(each.opts, key=len) for each in command.params if isinstance(each, click.Option)}
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*map(options, inner))


def test_the_number_of_flags_is_limited() -> None:
    assert len(options(commands)) < 36


def test_the_readme_names_every_option_of_the_server_and_every_command() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    for name in options(commands.commands["serve"]):
        negated = name.replace("--", "--no-", 1)
        assert f"`{name}`" in readme or f"`{negated}`" in readme
    for name in commands.commands:
        assert f"geventchat {name}`" in readme


def test_ctrl_c_while_the_program_loads_shows_no_traceback() -> None:
    """At any module that it imports: here at the first of gevent, and at click."""
    for module in ("gevent", "click"):
        script = (
            "import importlib.abc, os, runpy, signal, sys\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # behind `&` it is ignored
            "class Finder(importlib.abc.MetaPathFinder):\n"
            "    def find_spec(self, name, *_):\n"
            f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Finder())\n"
            "sys.argv[1:] = ['--version']\n"
            "runpy.run_module('geventchat', run_name='__main__')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_server_does_not_load_the_terminal() -> None:
    script = (
        "import sys, geventchat.__main__, geventchat.server.server;"
        "print([name for name in sys.modules if name.startswith('prompt_toolkit')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=15
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ["connect", "admin list", "top"])
def test_the_commands_of_a_client_load_no_server(command: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    script = (
        "import sys; from geventchat.__main__ import main; code = main();"
        "print(code, [name for name in sys.modules if name.startswith('geventchat.server')])"
    )
    where = ["--server", f":{port}"] if command.startswith("admin") else [f":{port}"]
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split(), *where],
        env=os.environ | {"GEVENTCHAT_TOKEN": "x" * 16},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "1 []\n"

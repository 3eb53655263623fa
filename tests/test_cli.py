"""The command line as its users meet it: a process, its lines and its exit code."""

import json
import os
import pty
import re
import resource
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
import pexpect  # type: ignore[import-untyped]
import pytest

from geventchat import __version__
from geventchat.cli import commands, main
from geventchat.server.timeline.sqlite import schema
from tests.process import served

COMMAND = (sys.executable, "-m", "geventchat")
SERVE = (*COMMAND, "serve", "--port", "0", "--timeline", "memory:")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )


def refusal(*arguments: str, code: int = 2, **environment: str) -> str:
    """Return the only line of a command that fails."""
    done = run(*arguments, **environment)
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*SERVE, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def port(line: str) -> int:
    found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
    assert found, line
    return int(found[1])


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
        (["--timeline", "redis"], "--timeline redis: is neither memory: nor sqlite:PATH"),
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
        ("serve --timeline ''", '--timeline "": is neither memory: nor sqlite:PATH'),
        ("serve --timeline sqlite:", "--timeline sqlite:: is neither memory: nor sqlite:PATH"),
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
        ("admin list --server :x", "port x: is not a whole number"),
        ("admin list extra", "TARGET extra: list takes no target"),
        ("admin close extra", "TARGET extra: close takes no target"),
        ("admin open extra", "TARGET extra: open takes no target"),
        ("admin list ''", 'TARGET "": list takes no target'),
        ("serv", "No such command 'serv'. Did you mean 'serve'?"),
        (
            "history export --timeline memory:",
            "--timeline memory:: has no stored history; use sqlite:PATH",
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
        settings = {"timeline": "memory:", "port": 0, "admin": "none"}
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


def test_the_first_line_has_the_address_and_where_messages_are_stored(tmp_path: Path) -> None:
    with serving() as process:
        line = first_line(process)
        socket.create_connection(("127.0.0.1", port(line)), timeout=5).close()
    assert f"geventchat {__version__} listening on" in line
    assert line.endswith(", messages kept in memory only, lost on exit\n")

    with serving("--timeline", f"sqlite:{tmp_path}/chat.db") as process:
        assert first_line(process).endswith(f", messages stored in {tmp_path}/chat.db\n")


def options(command: click.Command) -> set[str]:
    """Return the names of the options of a command and its subcommands."""
    own = {max(each.opts, key=len) for each in command.params if isinstance(each, click.Option)}
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*map(options, inner))


def test_the_number_of_flags_is_limited() -> None:
    assert len(options(commands)) < 30


def test_the_readme_names_every_option_of_the_server_and_every_command() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    for name in options(commands.commands["serve"]):
        negated = name.replace("--", "--no-", 1)
        assert f"`{name}`" in readme or f"`{negated}`" in readme
    for name in commands.commands:
        assert f"geventchat {name}`" in readme


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('log_format = "json"\nhost = "127.0.0.2"\n')

    with serving("--config", str(file), GEVENTCHAT_HOST="127.0.0.1") as process:
        event = json.loads(first_line(process))
        assert port(event["message"])

    with serving(
        "--config", str(file), "--host", "127.0.0.1", GEVENTCHAT_HOST="nowhere"
    ) as process:
        assert port(first_line(process))

    with serving("--log-format", "text", GEVENTCHAT_CONFIG=str(file)) as process:
        assert " listening on 127.0.0.2:" in first_line(process)


def test_the_operator_token_is_created_and_its_path_is_printed(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with serving("--timeline", timeline) as process:
        first_line(process)
        assert first_line(process).endswith(f"operator token file: {tmp_path}/chat.db.operator\n")
    token = (tmp_path / "chat.db.operator").read_text()
    with serving("--timeline", timeline) as process:
        first_line(process)
    assert (tmp_path / "chat.db.operator").read_text() == token


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--password", ""], "--password given: is not one line of 1 to 1,024 characters"),
        (["--password-file", "none"], "--password-file none: No such file or directory"),
        (["--password-file", "/dev/null"], "does not hold one line of 1 to 1,024 characters"),
        (
            ["--operator-file", "none/token"],
            "--operator-file none/token: No such file or directory",
        ),
        (["--operator-file", "/dev/null"], "does not hold one line of 1 to 1,024 characters"),
    ],
)
def test_an_unusable_secret_is_one_line_and_exit_2(arguments: list[str], line: str) -> None:
    assert line in refusal("serve", "--port", "0", "--timeline", "memory:", *arguments)


@pytest.mark.parametrize(
    "arguments",
    ["--help", "serve --help", "connect --help", "admin --help", "config", "serve --port x"],
)
def test_secrets_in_the_environment_are_never_printed(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GEVENTCHAT_PASSWORD", "GEVENTCHAT_TOKEN"):
        monkeypatch.setenv(name, "hunter2-hunter2-hunter2")
    main(arguments.split())
    assert "hunter2" not in "".join(capsys.readouterr())


def test_a_password_and_a_password_file_conflict(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    line = refusal(
        *"serve --port 0 --timeline memory: --password-file".split(),
        str(file),
        GEVENTCHAT_PASSWORD="other",
    )
    assert line.endswith("conflicts with --password; give only one")
    assert "secret" not in line
    assert "other" not in line


def test_only_a_password_on_the_command_line_is_warned_of() -> None:
    for arguments, environment, complaint in (
        (["--password", "secret"], {}, "--password is visible in the process list"),
        ([], {"GEVENTCHAT_PASSWORD": "secret"}, ""),
    ):
        with serving(*arguments, **environment) as process:
            number = port(first_line(process))
            with closing(socket.create_connection(("127.0.0.1", number), timeout=5)) as client:
                client.sendall(b"hello\0")
                assert client.recv(100) == b"* geventchat: This server requires a password.\0"
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=10)
        assert complaint in errors
        assert len(errors.splitlines()) == bool(complaint)
        assert "secret" not in output + errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_server_cleanly(number: signal.Signals) -> None:
    with serving() as process:
        port(first_line(process))
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)

    assert process.returncode == 0
    assert output.endswith(f"shutting down: received {number.name}\n")
    assert errors == ""


def test_ctrl_c_while_the_program_loads_shows_no_traceback() -> None:
    """At any module that it imports: here at the first of gevent, and at click."""
    for module in ("gevent", "click"):
        script = (
            "import importlib.abc, os, runpy, signal, sys\n"
            "class Finder(importlib.abc.MetaPathFinder):\n"
            "    def find_spec(self, name, *_):\n"
            f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Finder())\n"
            "sys.argv[1:] = ['--version']\n"
            "runpy.run_module('geventchat', run_name='__main__')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=15, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_server_survives_a_closed_output_pipe() -> None:
    with serving() as process:
        number = port(first_line(process))
        assert process.stdout
        process.stdout.close()
        for _ in range(2):
            with closing(socket.create_connection(("127.0.0.1", number), timeout=5)) as client:
                client.sendall(b"hello\0q\0")
                assert client.recv(1) == b""
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_any_text_is_shown_on_a_system_without_utf8() -> None:
    with serving("--echo", LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") as server:
        number = port(first_line(server))
        with closing(socket.create_connection(("127.0.0.1", number), timeout=5)) as client:
            client.sendall("grüße \U0001f600\0q\0".encode())
            assert client.recv(1) == b""
        server.send_signal(signal.SIGTERM)
        assert server.stdout is not None
        shown = os.read(server.stdout.fileno(), 10_000).decode()
    assert "#lobby guest-1: grüße \U0001f600" in shown


def test_on_a_terminal_messages_are_shown_and_ctrl_c_is_a_key() -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(SERVE, stdin=end, stdout=end, stderr=end, start_new_session=True)
    os.close(end)
    try:
        shown = ""
        while "memory" not in shown:
            shown += os.read(terminal, 1_000).decode()
        with closing(socket.create_connection(("127.0.0.1", port(shown)), timeout=5)) as client:
            client.sendall(b"\x1b[2Jhello\0q\0")
            while "disconnected" not in shown:
                shown += os.read(terminal, 1_000).decode()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)

    assert re.search(r"guest-1 connected from 127\.0\.0\.1, 1 client online\r\n", shown)
    assert re.search(r"\d\d:\d\d #lobby guest-1: \\x1b\[2Jhello\r\n", shown)
    assert re.search(r"guest-1 disconnected \(quit\), 0 clients online\r\n", shown)


def test_the_server_may_have_as_many_connections_as_the_system_allows() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as process:
        first_line(process)
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)


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
        timeout=15,
    )
    assert done.stdout == "1 []\n"


def test_a_server_is_ready_within_a_second() -> None:
    def start() -> float:
        begun = time.monotonic()
        with serving() as process:
            first_line(process)
            return time.monotonic() - begun

    assert min(start() for _ in range(3)) < 1


def test_the_printed_config_can_be_used_as_a_file(tmp_path: Path) -> None:
    first = run("config", "--port", "0", GEVENTCHAT_LOG_FORMAT="json").stdout
    assert "port = 0  # --port\n" in first
    assert 'log_format = "json"  # GEVENTCHAT_LOG_FORMAT\n' in first
    file = tmp_path / "chat.toml"
    file.write_text(first)

    second = run("config", "--config", str(file)).stdout

    assert f"port = 0  # {file}\n" in second
    assert [line.split("  #")[0] for line in second.splitlines()] == [
        line.split("  #")[0] for line in first.splitlines()
    ]


def test_check_finds_what_needs_no_start(tmp_path: Path) -> None:
    done = run("config", "--check", "--timeline", f"sqlite:{tmp_path}/chat.db")
    assert (done.returncode, done.stdout) == (0, "A server can run with these settings.\n")
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "token").write_text("short")
    for option, value, reason in [
        ("--password-file", f"{tmp_path}/none", "No such file or directory"),
        ("--timeline", f"sqlite:{tmp_path}/none/chat.db", "no file can be made there"),
        (
            "--operator-file",
            f"{tmp_path}/token",
            "a token of fewer than 16 characters could be guessed; use a longer one",
        ),
    ]:
        line = refusal("config", "--check", option, value)
        assert line == f"geventchat: {option} {value}: {reason}"


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in ("PRAGMA journal_mode = WAL", "CREATE TABLE mine (id)", *statements):
            db.execute(statement)


def test_a_check_refuses_a_file_that_a_start_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but a file of somebody's")
    database(tmp_path / "other.db")
    ours = f"PRAGMA application_id = {schema.APPLICATION_ID}"
    database(tmp_path / "newer.db", ours, f"PRAGMA user_version = {schema.VERSION + 1}")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    for file in before:
        arguments = ["--port", "0", "--timeline", f"sqlite:{file}"]
        line = refusal("config", "--check", *arguments)
        assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
        assert line == refusal("serve", *arguments)


def test_a_check_passes_what_a_server_made_and_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with served(tmp_path, "--admin", "none") as process:
        for name in ("chat.db", "empty.db"):
            assert run("config", "--check", "--timeline", f"sqlite:{tmp_path}/{name}").stdout
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
    files = sorted(tmp_path.iterdir())
    assert run("config", "--check", "--timeline", f"sqlite:{tmp_path}/chat.db").stdout
    assert sorted(tmp_path.iterdir()) == files


def test_sighup_reloads_the_settings_or_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("limits.frame_bytes = 4096")

    def reload_log(text: str) -> list[str]:
        """Return the log lines, without times, of a reload of this file."""
        file.write_text(text)
        process.send_signal(signal.SIGHUP)
        lines: list[str] = []
        while len(lines) < (2 if "\n" in text else 1):
            line = first_line(process)
            assert line
            if "geventchat.cli.serve" in line:
                lines.append(line.strip().partition(" ")[2])
        return lines

    def taken(frame: bytes) -> bool:
        with socket.create_connection(("127.0.0.1", number), timeout=5) as peer:
            peer.sendall(frame + b"\0q\0")
            return peer.makefile("rb").read() == b""

    with serving("--config", str(file)) as process:
        number = port(first_line(process))
        assert not taken(b"x" * 5_000)

        assert reload_log("limits.frame_bytes = 8192") == [
            "INFO geventchat.cli.serve: settings reloaded"
        ]
        assert taken(b"x" * 5_000)

        assert reload_log("limits.frame_bytes = 0") == [
            f"ERROR geventchat.cli.serve: reload failed, keeping current settings: {file}: "
            "limits.frame_bytes 0: is not in the range 4096 to 131072"
        ]
        assert taken(b"x" * 5_000)

        assert reload_log('password_file = "/"') == [
            f"ERROR geventchat.cli.serve: reload failed, keeping current settings: {file}: "
            "password_file /: Is a directory"
        ]

        assert reload_log('host = "::"\nlimits.frame_bytes = 4096') == [
            "INFO geventchat.cli.serve: settings reloaded",
            "WARNING geventchat.cli.serve: changed settings that need a restart: host",
        ]
        assert not taken(b"x" * 5_000)


def test_a_world_readable_secret_is_warned_of_at_the_start_and_on_reload(
    tmp_path: Path,
) -> None:
    secrets = {"--password-file": tmp_path / "password", "--operator-file": tmp_path / "token"}
    for file in secrets.values():
        file.write_text("of 16 characters at least")
        file.chmod(0o644)

    def warned(until: str) -> list[str]:
        lines = [first_line(process)]
        while until not in lines[-1]:
            assert lines[-1]
            lines.append(first_line(process))
        return [line.strip().partition("serve: ")[2] for line in lines if "WARNING" in line]

    def warning(option: str) -> str:
        file = secrets[option]
        return f"{option} {file} is world-readable; run chmod 600 on it, or mount it with mode 0400"

    options = [str(part) for pair in secrets.items() for part in pair]
    with serving("--admin", "none", *options) as process:
        assert warned(until="--operator-file") == [warning(option) for option in secrets]

        secrets["--password-file"].chmod(0o640)
        process.send_signal(signal.SIGHUP)
        assert warned(until="--operator-file") == [warning("--operator-file")]

        secrets["--operator-file"].chmod(0o440)
        process.send_signal(signal.SIGHUP)
        warned(until="reloaded")
        process.send_signal(signal.SIGTERM)
        assert "WARNING" not in process.communicate(timeout=10)[0]


def test_a_second_signal_exits_at_once() -> None:
    with serving() as process, ExitStack() as peers:
        address = "127.0.0.1", port(first_line(process))
        peer, other = (
            peers.enter_context(socket.create_connection(address, timeout=5)) for _ in range(2)
        )
        other.sendall(b"hi\0")
        assert peer.recv(3) == b"hi\0"  # so it is accepted
        process.send_signal(signal.SIGTERM)
        peer.recv(1)  # so the signal was received; the server waits for this client
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=1) == 128 + signal.SIGTERM


def test_closing_the_terminal_shuts_the_server_down() -> None:
    terminal = pexpect.spawn(sys.executable, list(SERVE[1:]))
    terminal.expect("listening on")

    os.close(terminal.child_fd)

    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 0


def test_the_log_says_that_the_terminal_was_closed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    terminal = pexpect.spawn("sh", ["-c", f"exec {shlex.join(SERVE)} > {log}"])
    while "listening on" not in log.read_text():
        time.sleep(0.01)

    os.close(terminal.child_fd)

    os.waitpid(terminal.pid, 0)
    assert log.read_text().endswith("shutting down: terminal closed\n")

"""Settings of a server: which of them count, `geventchat config`, secrets, and a reload."""

import json
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from geventchat.cli import main
from geventchat.server.timeline.sqlite import schema
from tests.command import first_line, port, refusal, run, serving
from tests.process import served


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
            with closing(socket.create_connection(("127.0.0.1", number), timeout=20)) as client:
                client.sendall(b"hello\0")
                assert client.recv(100) == b"* geventchat: This server requires a password.\0"
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=30)
        assert complaint in errors
        assert len(errors.splitlines()) == bool(complaint)
        assert "secret" not in output + errors


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
        assert process.wait(30) == 0
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
        with socket.create_connection(("127.0.0.1", number), timeout=20) as peer:
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


def test_a_server_that_is_still_starting_is_not_ended_by_sighup() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as engine,
        serving("--timeline", f"redis://127.0.0.1:{engine.getsockname()[1]}") as process,
    ):
        asked, _ = engine.accept()  # and not answered: it waits
        process.send_signal(signal.SIGHUP)
        asked.close()
        assert process.wait(30) == 75


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
        assert "WARNING" not in process.communicate(timeout=30)[0]

import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

from loadtests.support.address import free_port
from tests.loadtests.conftest import HERE, LOAD, Run


def complaints(said: str) -> list[str]:
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line.startswith("load: ")]


def refused(run: Run) -> str:
    """Return the one line that says why there was no run."""
    (line,) = complaints(run.said)
    assert run.code == 2
    assert "Ramping" not in run.said
    return line


def test_no_server(load: Callable[..., Run]) -> None:
    port = free_port()
    line = refused(load("--host", f"127.0.0.1:{port}"))
    assert line.startswith(f"load: No server answers at 127.0.0.1:{port}: Connection refused.")


def test_no_server_and_two_processes(load: Callable[..., Run]) -> None:
    host, port = f"127.0.0.1:{free_port()}", str(free_port())
    run = load("--host", host, "--processes", "2", "--master-bind-port", port)
    assert "No server answers at" in refused(run)


def test_another_kind_of_server(load: Callable[..., Run]) -> None:
    def serve() -> None:
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(b"220 mail.example.org ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = Thread(target=serve)
        serving.start()
        port = listening.getsockname()[1]
        line = refused(load("--host", f"127.0.0.1:{port}"))
        serving.join()
    assert line == f"load: No geventchat server at 127.0.0.1:{port}."


def test_what_locust_does_not_know(load: Callable[..., Run]) -> None:
    run = load("--nosuch")
    assert refused(run) == "load: unrecognized arguments: --nosuch"
    assert "started a server" not in run.said
    assert refused(load("Talkerr")) == "load: Unknown User(s): Talkerr"


def test_a_host_that_is_none(load: Callable[..., Run]) -> None:
    line = refused(load("--host", "127.0.0.1:chat"))
    assert line == "load: argument -H/--host: '127.0.0.1:chat' is not HOST:PORT (see --help)"


UNFIT = {
    "--host": ("", "http://127.0.0.1:4040", "127.0.0.1:0"),
    "-u": ("0", "-1", "many", "1e3"),
    "-r": ("0", "-1", "nan", "inf"),
    "-t": ("0", "0s", "5x", "-3"),
    "--processes": ("-2", "two"),
    "--web-port": ("0", "65536"),
    "--room-size": ("0", "-1", "2.5"),
    "--lobby": ("-0.1", "1.5", "nan"),
    "--talk-seconds": ("0", "-1", "nan", "inf"),
    "--csv": ("", "/dev/null/run"),
    "--html": ("/dev/null/report.html",),
    "--logfile": ("/nonexistent/log",),
    "--password-file": ("/nonexistent/password", "/dev/null"),
    "--operator-file": ("/nonexistent/token",),
    "--ca": ("/nonexistent/ca.pem", "/dev/null"),
}


def test_what_no_option_may_be_is_refused_in_a_line_that_names_it() -> None:
    given = [(option, text) for option, texts in UNFIT.items() for text in texts]
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda each: run_with(f"{each[0]}={each[1]}"), given))
    for (option, text), run in zip(given, ended, strict=True):
        (line,) = complaints(run.stderr)
        assert option in line, line
        assert text in line or str(Path(text).parent) in line, line
        assert run.returncode == 2
        assert "Ramping" not in run.stderr


def run_with(*options: str) -> "subprocess.CompletedProcess[str]":
    # A host that is none, so that no server is started for what is refused later.
    short = "--host=127.0.0.1:1", "--headless", *options
    return subprocess.run([*LOAD, *short], cwd=HERE, check=False, text=True, capture_output=True)


def test_more_processes_than_users(load: Callable[..., Run]) -> None:
    line = refused(load("--processes", "9", "-u", "8"))
    assert line == "load: 9 --processes are more than the 8 users"


def test_more_users_than_descriptors(server: str) -> None:
    limited = ["bash", "-c", 'ulimit -n 256; exec "$@"', "-", *LOAD]
    options = ["--headless", "--host", server, "-u", "1000"]
    ended = subprocess.run(
        [*limited, *options], cwd=HERE, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert ended.returncode == 2
    (line,) = complaints(ended.stdout)
    assert line.startswith(
        "load: 1,000 users in 1 process(es) need 1,064 descriptors each, and 256"
    )


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*LOAD, "-P", str(port)], cwd=HERE, check=False, text=True, capture_output=True
        )
    assert ended.returncode == 2
    (line,) = complaints(ended.stderr)
    assert line.startswith(f"load: The dashboard cannot listen on 127.0.0.1:{port}:")


def test_a_port_of_the_master_that_is_taken(load: Callable[..., Run]) -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused(load("--processes", "2", "--master-bind-port", port))
    assert line.startswith(f"load: The master cannot listen on *:{port}:")

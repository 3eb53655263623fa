"""`make load`: run Locust with a Chat tab against a server started for the run, or --host.

    python -m loadtests [--shape NAME] [--host HOST:PORT] [options of Locust …]

Locust runs in a separate process, so that this one is not monkey-patched and Ctrl-C shuts it down
cleanly: its users disconnect before the server stops.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from loadtests.support.arguments import (
    address,
    file,
    file_in_new_folder,
    positive,
    run_time,
    share,
    whole,
)
from loadtests.support.command import CannotRun, Parser, command, when_ended
from loadtests.support.login import Login, add_login, as_arguments, for_own_server
from loadtests.support.preflight import check_host, check_users
from loadtests.support.server import serving

HERE = Path(__file__).parent
SHAPES = sorted(path.stem for path in (HERE / "shapes").glob("[a-z]*.py"))
USERS, SPAWN_RATE = 100, 100
"""Defaults for Locust, whose own default is one user."""
CHECKED = {
    "--run-time": (run_time, "stop after 90s, 20m, 1h30m, …"),
    "--room-size": (whole(1), "users in a small room [20]"),
    "--lobby": (share, "share of users also in the lobby [0.05]"),
    "--talk-seconds": (positive, "how often a talker talks, on average [20]"),
    "--csv": (file_in_new_folder, "write PREFIX_stats.csv, PREFIX_chat.csv, …"),
    "--html": (file_in_new_folder, "write a report"),
    "--json-file": (file_in_new_folder, "write the figures"),
    "--logfile": (file, "write the log there"),
}
"""Options that are checked before a server is started; Locust might object at the end of a run."""


def main() -> int:
    """Run Locust with the rest of the command line; return its exit code. Raises CannotRun."""
    options, rest = _parser().parse_known_args()
    files = [HERE / "locustfile.py"]
    if options.shape:
        files.append(HERE / "shapes" / f"{options.shape}.py")
    locust = [sys.executable, "-m", "locust", "-f", ",".join(map(str, files))]
    users, processes = options.users, options.processes
    locust += ["--users", str(users), "--spawn-rate", str(options.spawn_rate)]
    locust += as_arguments(options)
    if rest:
        _check_options([*locust, *rest])
    checked = {option: getattr(options, option) for option in CHECKED}
    locust += [f"{option}={value}" for option, value in checked.items() if value is not None]
    locust += ["--master-bind-host", options.master_bind_host]
    locust += ["--master-bind-port", str(options.master_bind_port)]
    if processes:
        locust += ["--processes", str(processes)]
    if options.headless:
        # One line every ten seconds instead of tables every two.
        locust += ["--headless", "--only-summary"]
    elif not options.worker:
        locust += ["--web-host", options.web_host, "--web-port", str(options.web_port)]
    own = [] if options.host else for_own_server(options)
    if processes > users:
        raise CannotRun(f"{processes:,} --processes are more than the {users:,} users")
    _check_ports(options)
    login = Login.of(options)
    if options.worker:
        return _run([*locust, "--worker", *rest])
    with serving(options.host, *own, web=options.web) as host:
        check_host(host, login)
        check_users(host, users, (os.cpu_count() if processes == -1 else processes) or 1)
        if not options.headless:
            dashboard = f"http://{options.web_host}:{options.web_port}/"
            print(f"dashboard: {dashboard} (tab Chat, once the run has started)", flush=True)
        return _run([*locust, "--host", host, *rest])


def _parser() -> argparse.ArgumentParser:
    """Return a parser for the options that matter here; Locust gets them as well."""
    parser = Parser(
        prog="make load",
        allow_abbrev=False,
        description="Load a chat server with Locust. All other options are those of Locust.",
    )
    parser.add_argument("--shape", choices=SHAPES, help="number of users over time")
    parser.add_argument(
        "-H", "--host", metavar="HOST:PORT", type=address,
        default=os.environ.get("LOCUST_HOST") or None,
        help="server to load; by default one is started",
    )  # fmt: skip
    add = parser.add_argument
    add("-u", "--users", type=whole(1), default=USERS, help="peak number of users [100]")
    add(
        "-r", "--spawn-rate", type=positive, default=SPAWN_RATE, help="users started a second [100]"
    )
    add("--processes", type=_processes, default=0, help="share the users; -1: one per core")
    add("--headless", action="store_true", help="no dashboard, start at once")
    add("--worker", action="store_true", help="work for a master on another machine")
    add("--web-host", default="127.0.0.1", help="address of the dashboard")
    add("-P", "--web-port", type=whole(1, 65_535), default=8089, help="its port")
    add("--master-bind-host", default="*", help="address for --processes")
    add("--master-bind-port", type=whole(1, 65_535), default=5557, help="its port")
    for option, (kind, text) in CHECKED.items():
        names = ("-t", option) if option == "--run-time" else (option,)
        add(*names, dest=option, metavar="…", type=kind, help=text)
    add_login(parser.add_argument_group("what the server asks for"))
    return parser


def _processes(text: str) -> int:
    return -1 if text == "-1" else whole(0)(text)


def _check_options(locust: list[str]) -> None:
    """Raise CannotRun if Locust does not know an option or a form of use."""
    asked = [*locust, "--headless", "--host", "127.0.0.1:1", "--show-task-ratio"]
    found = subprocess.run(asked, check=False, capture_output=True, text=True)  # it only parses
    if found.returncode:
        *_, why = found.stderr.strip().splitlines() or ["Locust does not start"]
        raise CannotRun(re.sub(r"load: error: |\[.*\] \S+: ", "", why, count=1))


def _check_ports(options: argparse.Namespace) -> None:
    """Raise CannotRun if a port needed here is in use."""
    ports = []
    if options.processes and not options.worker:
        # Its workers would wait indefinitely for a master that could not start.
        host = options.master_bind_host.replace("*", "")
        ports.append(("The master", host, options.master_bind_port, "--master-bind-port"))
    if not options.headless and not options.worker:
        ports.append(("The dashboard", options.web_host, options.web_port, "--web-port"))
    for who, host, port, option in ports:
        try:
            socket.create_server((host, port)).close()
        except (OSError, UnicodeError) as error:
            where = f"{host or '*'}:{port}"
            raise CannotRun(
                f"{who} cannot listen on {where}: {error}. Choose another with {option}."
            ) from None


def _run(locust: list[str]) -> int:
    """Run Locust until it exits; Ctrl-C reaches it as well."""
    with subprocess.Popen(locust) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        when_ended(lambda *_: process.terminate())
        return process.wait()


if __name__ == "__main__":
    command("load", main)

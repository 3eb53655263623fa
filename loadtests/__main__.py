"""`make load`: run Locust with a Chat tab against a server started for the run, or --host.

    python -m loadtests [--shape NAME] [--host HOST:PORT] [options of Locust …]

Locust runs in a separate process, so that this one is not monkey-patched and Ctrl-C shuts it down
cleanly: its users disconnect before the server stops.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from loadtests.support.preflight import CannotRun, check_host, check_users
from loadtests.support.server import serving

HERE = Path(__file__).parent
SHAPES = sorted(path.stem for path in (HERE / "shapes").glob("[a-z]*.py"))
USERS, SPAWN_RATE = 100, 100
"""Defaults for Locust, whose own default is one user."""


def main() -> int:
    """Run Locust with the rest of the command line; return its exit code."""
    options, rest = _parser().parse_known_args()
    files = [HERE / "locustfile.py"]
    if options.shape:
        files.append(HERE / "shapes" / f"{options.shape}.py")
    locust = [sys.executable, "-m", "locust", "-f", ",".join(map(str, files))]
    users, processes = options.users or USERS, options.processes
    locust += ["--users", str(users), "--spawn-rate", str(options.spawn_rate or SPAWN_RATE)]
    locust += ["--master-bind-host", options.master_bind_host]
    locust += ["--master-bind-port", str(options.master_bind_port)]
    if processes:
        locust += ["--processes", str(processes)]
    if options.headless:
        # One line every ten seconds instead of tables every two.
        locust += ["--headless", "--only-summary"]
    elif not options.worker:
        locust += ["--web-host", options.web_host, "--web-port", str(options.web_port)]
    if reason := _taken(options):
        print(f"load: {reason}", file=sys.stderr)
        return 2
    if options.worker:
        return _run([*locust, "--worker", *rest])
    with serving(options.host) as host:
        try:
            check_host(host)
            check_users(host, users, (os.cpu_count() if processes == -1 else processes) or 1)
        except CannotRun as why:
            print(f"load: {why}", file=sys.stderr)
            return 2
        if not options.headless:
            address = f"http://{options.web_host}:{options.web_port}/"
            print(f"dashboard: {address} (tab Chat, once the run has started)", flush=True)
        return _run([*locust, "--host", host, *rest])


def _parser() -> argparse.ArgumentParser:
    """Return a parser for the options that matter here; Locust gets them as well."""
    parser = argparse.ArgumentParser(
        prog="make load",
        allow_abbrev=False,
        description="Load a chat server with Locust. All other options are those of Locust.",
    )
    parser.add_argument("--shape", choices=SHAPES, help="number of users over time")
    parser.add_argument(
        "-H", "--host", metavar="HOST:PORT", default=os.environ.get("LOCUST_HOST"),
        help="server to load; by default one is started",
    )  # fmt: skip
    parser.add_argument("-u", "--users", type=int, help="peak number of users")
    parser.add_argument("-r", "--spawn-rate", type=float, help="users started per second")
    parser.add_argument(
        "--processes", type=int, default=0, help="share the users; -1: one per core"
    )
    parser.add_argument("--headless", action="store_true", help="no dashboard, start at once")
    parser.add_argument(
        "--worker", action="store_true", help="work for a master on another machine"
    )
    parser.add_argument("--web-host", default="127.0.0.1", help="address of the dashboard")
    parser.add_argument("-P", "--web-port", type=int, default=8089, help="its port")
    parser.add_argument("--master-bind-host", default="*", help="address for --processes")
    parser.add_argument("--master-bind-port", type=int, default=5557, help="its port")
    return parser


def _taken(options: argparse.Namespace) -> str | None:
    """Return an error message if a port needed here is in use."""
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
        except (OSError, OverflowError) as error:
            where = f"{host or '*'}:{port}"
            return f"{who} cannot listen on {where}: {error}. Choose another with {option}."
    return None


def _run(locust: list[str]) -> int:
    """Run Locust until it exits; Ctrl-C reaches it as well."""
    with subprocess.Popen(locust) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())

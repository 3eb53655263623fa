"""`geventchat history`: maintenance of the stored history without a server."""

import itertools
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from geventchat.cli.options import as_given, names, option
from geventchat.cli.settings import config_file, resolve
from geventchat.config import Config
from geventchat.config.checks import BadOption, BadSetting, scheme_and_path
from geventchat.config.file import checked
from geventchat.protocol.visible import visible

_DEFAULT: Final = Config()
_PROGRESS: Final = 100_000
"""Lines between two progress messages."""
_LINE_BYTES: Final = 4 << 20
"""More than any line of an export takes."""


@click.group(invoke_without_command=True)
@click.pass_context
def history(context: click.Context) -> None:
    """Export, import, check and trim the stored history.

    `export` and `check` only read, also while a server runs; the others need it stopped.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _timeline(command: Callable[..., Any]) -> Callable[..., Any]:
    named = {"default": _DEFAULT.timeline, "metavar": "sqlite:PATH", "show_default": True}

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        with as_given(names(click.get_current_context())):
            return command(*arguments, **options)

    declared: Callable[..., Any] = option("--timeline", help="Database to use.", **named)(run)
    return declared


@history.command("export")
@_timeline
def export(timeline: str) -> int:
    """Write the whole history to standard output, as lines of JSON.

    Damaged posts are marked as damaged, and the exit code is then 1.
    """
    from geventchat.server.timeline.sqlite import export as archive

    damaged = 0
    with _read(timeline) as db:
        lost = archive.unreachable_posts(db)
        for count, line in enumerate(archive.export_lines(db), 1):
            sys.stdout.buffer.write(line + b"\n")
            damaged += b'"damaged":true' in line  # in a text the quotes would be escaped
            _print_progress(count, "lines written")
        sys.stdout.buffer.flush()
    if lost:
        click.echo(f"geventchat: {visible(lost)}", err=True)
    if damaged:
        click.echo(f"geventchat: {damaged} posts are damaged and are lost", err=True)
    return int(damaged > 0 or bool(lost))


@history.command("import")
@_timeline
@click.argument("file", type=click.File("rb"), default="-")
def import_(timeline: str, file: Any) -> int:
    """Create a database from an export in FILE or on standard input.

    It gets a new epoch: clients that reconnect are told that posts may be missing. If the export
    is not complete nothing is imported, and the exit code is 1.
    """
    from geventchat.server.timeline.sqlite import restore

    def lines() -> Iterator[bytes]:
        for count in itertools.count(1):
            try:
                line = file.readline(_LINE_BYTES)
            except OSError as error:
                raise restore.ImportFailed(f"line {count}: {error.strerror or error}") from None
            if not line:
                return
            _print_progress(count, "lines read")
            yield line

    name = getattr(file, "name", "-")
    try:
        with _exclusive(timeline, create=True) as store:
            count = restore.import_lines(store.db, lines())
            store.reload()
    except restore.Incomplete as error:
        click.echo(visible(f"geventchat: import {name}: {error}"), err=True)
        return 1
    except restore.ImportFailed as error:
        raise BadOption("import", name, str(error)) from None
    click.echo(f"{count:,} posts imported.")
    return 0


@history.command("check")
@_timeline
def check(timeline: str) -> int:
    """Check every post; print each problem, and exit with 1 if there is any."""
    from geventchat.server.timeline.sqlite import export as archive

    found = 0
    with _read(timeline) as db:
        try:
            for line in archive.damage(db):
                click.echo(visible(line))
                found += 1
        except sqlite3.DatabaseError as error:
            click.echo(visible(str(error)))
            found += 1
    click.echo("The history is damaged." if found else "No problems found.")
    return int(found > 0)


@history.command("trim")
@_timeline
@config_file
@click.pass_context
def trim(context: click.Context, /, **_: object) -> int:
    """Delete the oldest posts, as a server with this --config would while it runs.

    If the system clock may be wrong it says so first; run it again to confirm that it is right.
    """
    from geventchat.server.timeline.sqlite.clock import DAY_MS
    from geventchat.server.timeline.sqlite.retention import RetentionPolicy

    config = resolve(context).config
    keep = RetentionPolicy.of(config.limits)
    if not keep:
        raise click.UsageError(
            "No retention limit is set; give a --config file with [limits] for the history."
        )
    with _exclusive(config.timeline) as store:
        store.retention.policy = keep
        if ahead_ms := store.clock.ahead_ms(keep.away_ms) if keep.days else 0:
            store.clock.confirm()
            text = (
                f"geventchat: nothing was deleted: by the system clock {ahead_ms / DAY_MS:.1f} days"
                " have passed since the database was used; if that is right, run this again"
            )
            click.echo(text, err=True)
            return 1
        before = _posts(store.db)
        # A step that deletes nothing has examined only some of the rooms.
        while store.trim() or store.retention.rounds < 2:
            pass
        count = before - _posts(store.db)
    click.echo(f"{count:,} posts deleted.")
    return 0


@history.command("renew")
@_timeline
def renew(timeline: str) -> None:
    """Start a new epoch, after a whole folder was restored from a backup.

    Clients may have seen posts that are not in the backup; they are told that posts may be missing.
    """
    with _exclusive(timeline) as store:
        store.renew()
    click.echo("New epoch started; clients that reconnect are told that posts may be missing.")


def _posts(db: sqlite3.Connection) -> int:
    """Return the number of posts."""
    (count,) = db.execute("SELECT count(*) FROM posts").fetchone()
    return int(count)


def _path(timeline: str) -> str:
    given = names(click.get_current_context())["timeline"]
    scheme, path = scheme_and_path(checked(given, "timeline", timeline))
    if scheme != "sqlite":
        raise BadSetting("timeline", timeline, "has no stored history; use sqlite:PATH")
    return path


@contextmanager
def _read(timeline: str) -> Iterator[sqlite3.Connection]:
    """Open a read-only connection. Raises BadOption."""
    from geventchat.server.timeline.sqlite.schema import VERSION, connect, identify

    path = _existing(timeline)
    try:
        with closing(connect(path, readonly=True)) as db:
            tables, version = identify(db)
            if not tables:
                raise BadSetting("timeline", timeline, "is empty; it holds no history")
            if version != VERSION:
                reason = "an older geventchat wrote this database; start the server once to upgrade"
                raise BadSetting("timeline", timeline, reason)
            db.execute("BEGIN")  # for one snapshot of everything
            yield db
    except sqlite3.Error as error:
        raise BadSetting("timeline", timeline, str(error)) from None


@contextmanager
def _exclusive(timeline: str, *, create: bool = False) -> Iterator[Any]:
    """Open the store of a database that no server uses. Raises BadOption.

    What was created is removed again if the block fails.
    """
    from geventchat.server.timeline.sqlite.claim import Claim
    from geventchat.server.timeline.sqlite.store import Store

    claim = Claim(_path(timeline) if create else _existing(timeline))
    try:
        with closing(Store(claim.path)) as store:
            yield store
    except sqlite3.Error as error:
        raise claim.abandon(error) from None
    except BaseException:
        claim.abandon()
        raise
    claim.release()


def _existing(timeline: str) -> str:
    path = _path(timeline)
    if not Path(path).is_file():
        raise BadSetting("timeline", timeline, "file not found")
    return path


def _print_progress(count: int, unit: str) -> None:
    if count % _PROGRESS == 0:
        click.echo(f"{count:,} {unit}", err=True)

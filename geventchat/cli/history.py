"""`geventchat history`: what is kept, looked after without a server."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from geventchat.cli.options import as_given, names, option
from geventchat.cli.settings import config_file, resolve
from geventchat.config import Config
from geventchat.config.checks import BadOption, BadSetting
from geventchat.config.file import checked
from geventchat.protocol.visible import visible

_DEFAULT: Final = Config()
_PROGRESS: Final = 100_000
"""Lines after which one is told how far it is."""


@click.group(invoke_without_command=True)
@click.pass_context
def history(context: click.Context) -> None:
    """Save, restore, check and trim what is kept.

    `export` and `check` only read, and may run beside a server; the others want it stopped.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _timeline(command: Callable[..., Any]) -> Callable[..., Any]:
    named = {"default": _DEFAULT.timeline, "metavar": "sqlite:PATH", "show_default": True}

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        with as_given(names(click.get_current_context())):
            return command(*arguments, **options)

    declared: Callable[..., Any] = option("--timeline", help="Whose posts.", **named)(run)
    return declared


@history.command("export")
@_timeline
def export(timeline: str) -> int:
    """Write all there is to standard output, as lines of JSON.

    What is damaged is there as such, and the exit code is then 1.
    """
    from geventchat.server.timeline.sqlite import export as archive

    damaged = 0
    with _read(timeline) as db:
        lost = archive.unreachable_posts(db)
        for count, line in enumerate(archive.export_lines(db), 1):
            sys.stdout.buffer.write(line + b"\n")
            damaged += b'"damaged":true' in line  # in a text the quotes would be escaped
            _tell(count, "lines written")
        sys.stdout.buffer.flush()
    if lost:
        click.echo(f"geventchat: {visible(lost)}", err=True)
    if damaged:
        click.echo(f"geventchat: {damaged} posts are damaged and are lost", err=True)
    return int(damaged > 0 or bool(lost))


@history.command("import")
@_timeline
@click.argument("file", type=click.File("rb"), default="-")
def import_(timeline: str, file: Any) -> None:
    """Make a database of what `export` wrote, from FILE or standard input.

    Its clients are told that they may have missed something: newer posts may have been lost.
    """
    from geventchat.server.timeline.sqlite import export as archive

    def lines() -> Iterator[bytes]:
        for count, line in enumerate(file, 1):
            _tell(count, "lines read")
            yield line

    with _alone(timeline) as store:
        try:
            count = archive.import_lines(store.db, lines())
            store.reload()
        except archive.ImportFailed as error:
            raise BadOption("import", getattr(file, "name", "-"), str(error)) from None
    click.echo(f"{count:,} posts were brought in.")


@history.command("check")
@_timeline
def check(timeline: str) -> int:
    """Look at every post; tell what is damaged, and exit with 1 if anything is."""
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
    click.echo("The history is damaged." if found else "The history is whole.")
    return int(found > 0)


@history.command("trim")
@_timeline
@config_file
@click.pass_context
def trim(context: click.Context, /, **_: object) -> None:
    """Let go of the oldest posts, as a server with this --config would while it runs."""
    from geventchat.server.timeline.sqlite.retention import RetentionPolicy

    config = resolve(context).config
    keep = RetentionPolicy.of(config.limits)
    if not keep:
        raise click.UsageError(
            "Name a file with --config whose [limits] say what to keep of history."
        )
    with _alone(config.timeline) as store:
        store.retention.policy = keep
        before = _posts(store.db)
        # A step that deletes nothing has only looked at some rooms.
        while store.trim() or store.retention.rounds < 2:
            pass
        count = before - _posts(store.db)
    click.echo(f"{count:,} posts are gone.")


@history.command("renew")
@_timeline
def renew(timeline: str) -> None:
    """Begin a new life of the record, after a whole folder was put back from a backup.

    Clients may have seen posts that are not in it; with this they are told so.
    """
    with _alone(timeline) as store:
        store.renew()
    click.echo("Clients that come back will be told that they may have missed something.")


def _posts(db: sqlite3.Connection) -> int:
    """Return how many posts there are."""
    (count,) = db.execute("SELECT count(*) FROM posts").fetchone()
    return int(count)


def _path(timeline: str) -> str:
    given = names(click.get_current_context())["timeline"]
    kind, _, path = checked(given, "timeline", timeline).partition(":")
    if kind != "sqlite":
        raise BadSetting("timeline", timeline, "keeps nothing; only sqlite:PATH has a history")
    return str(path)


@contextmanager
def _read(timeline: str) -> Iterator[sqlite3.Connection]:
    """Give a connection that cannot write. Raises BadOption."""
    from geventchat.server.timeline.sqlite.schema import APPLICATION_ID, VERSION, connect

    path = _path(timeline)
    if not Path(path).is_file():
        raise BadSetting("timeline", timeline, "there is no such file")
    try:
        with closing(connect(path, readonly=True)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID or version != VERSION:
                reason = "is not of this version of geventchat; a server that starts brings it up"
                raise BadSetting("timeline", timeline, reason)
            db.execute("BEGIN")  # so that all is read as it is at one moment
            yield db
    except sqlite3.Error as error:
        raise BadSetting("timeline", timeline, str(error)) from None


@contextmanager
def _alone(timeline: str) -> Iterator[Any]:
    """Give the store of a database that nobody else uses meanwhile. Raises BadOption."""
    from geventchat.server.timeline.sqlite.lock import lock
    from geventchat.server.timeline.sqlite.store import Store

    path = _path(timeline)
    with ExitStack() as stack:
        stack.enter_context(lock(path))
        try:
            yield stack.enter_context(closing(Store(path)))
        except sqlite3.Error as error:
            raise BadSetting("timeline", timeline, str(error)) from None


def _tell(count: int, what: str) -> None:
    if count % _PROGRESS == 0:
        click.echo(f"{count:,} {what}", err=True)

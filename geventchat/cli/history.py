"""`geventchat history`: maintenance of the stored history without a server."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from geventchat.cli import output
from geventchat.cli.options import as_given, names, option
from geventchat.cli.settings import config_file, resolve
from geventchat.config import Config
from geventchat.config.checks import ENGINES, BadOption, BadSetting, scheme_and_path
from geventchat.config.file import checked
from geventchat.protocol.visible import visible

if TYPE_CHECKING:
    from geventchat.server.timeline.history import History

_DEFAULT: Final = Config()
_PROGRESS: Final = 100_000
"""Lines between two progress messages."""
_LINE_BYTES: Final = 4 << 20
"""More than any line of an export takes."""


@click.group(invoke_without_command=True)
@click.pass_context
def history(context: click.Context) -> None:
    """Export, move, import, check and trim the stored history.

    `export` and `check` only read, also while a server runs; the others need it stopped.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _timeline(command: Callable[..., Any]) -> Callable[..., Any]:
    named = {
        "default": _DEFAULT.timeline,
        "metavar": "sqlite:PATH|redis://HOST",
        "show_default": True,
    }

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
    with _history(timeline).reading() as stored:
        return _write(stored.export_lines(), stored.unreachable_posts())


@history.command("move")
@_timeline
def move(timeline: str) -> int:
    """Write the whole history as an export that takes the epoch along.

    Clients of a server that has imported it go on where they were, and marks stay. The history
    here gets a new epoch.
    """
    with _history(timeline).exclusive() as claimed:
        lost = claimed.unreachable_posts()
        return _write(claimed.moved_lines(output.flush), lost)


def _write(lines: Iterable[bytes], lost: str) -> int:
    """Write the lines of an export; return the exit code. `lost`: posts that are in none."""
    damaged = 0
    for count, line in enumerate(lines, 1):
        output.write(line)
        damaged += b'"damaged":true' in line  # in a text the quotes would be escaped
        _print_progress(count, "lines written")
    output.flush()
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

    Unless `history move` wrote that it gets a new epoch: clients that reconnect are told that posts
    may be missing. If the export is not complete nothing is imported, and the exit code is 1.
    """
    from geventchat.server.search.registry import KINDS
    from geventchat.server.timeline.lines import ImportFailed, Incomplete

    def lines() -> Iterator[bytes]:
        for count in itertools.count(1):
            try:
                line = file.readline(_LINE_BYTES)
            except OSError as error:
                raise ImportFailed(f"line {count}: {error.strerror or error}") from None
            if not line:
                return
            _print_progress(count, "lines read")
            yield line

    name = getattr(file, "name", "-")
    try:
        end = _history(timeline).import_lines(lines())
    except Incomplete as error:
        click.echo(visible(f"geventchat: import {name}: {error}"), err=True)
        return 1
    except ImportFailed as error:
        raise BadOption("import", name, str(error)) from None
    scheme, path = scheme_and_path(timeline)
    if scheme in KINDS:
        # One of a former database here may be of the same epoch, in which rooms had other numbers.
        KINDS[scheme].discard(path)
    goes_on = " Clients go on where they were." if end.epoch else ""
    click.echo(f"{end.posts:,} posts imported.{goes_on}")
    return 0


@history.command("check", short_help="Check every post, and print each problem.")
@_timeline
def check(timeline: str) -> int:
    """Check every post; print each problem, and exit with 1 if there is any."""
    found = 0
    with _history(timeline).reading() as stored:
        for line in stored.damage():
            click.echo(visible(line))
            found += 1
    click.echo("The history is damaged." if found else "No problems found.")
    return int(found > 0)


@history.command("trim", short_help="Delete the oldest posts, as a server would.")
@_timeline
@config_file
@click.pass_context
def trim(context: click.Context, /, **_: object) -> int:
    """Delete the oldest posts, as a server with this --config would while it runs.

    If the system clock may be wrong it says so first; run it again to confirm that it is right.
    """
    from geventchat.server.timeline.history import NotTrimmed
    from geventchat.server.timeline.retention_policy import RetentionPolicy

    config = resolve(context).config
    keep = RetentionPolicy.of(config.limits)
    scheme = scheme_and_path(config.timeline)[0]
    if not keep and scheme not in ENGINES:  # they have limits by default
        raise click.UsageError(
            "No retention limit is set; give a --config file with [limits] for the history."
        )
    with _history(config.timeline).exclusive() as stored:
        try:
            count = stored.trim(keep)
        except NotTrimmed as error:
            click.echo(f"geventchat: nothing was deleted: {error}", err=True)
            return 1
    click.echo(f"{count:,} posts deleted.")
    return 0


@history.command("renew", short_help="Start a new epoch, after a backup was restored.")
@_timeline
def renew(timeline: str) -> None:
    """Start a new epoch, after a whole folder was restored from a backup.

    Clients may have seen posts that are not in the backup; they are told that posts may be missing.
    """
    with _history(timeline).exclusive() as stored:
        stored.renew()
    click.echo("New epoch started; clients that reconnect are told that posts may be missing.")


def _history(timeline: str) -> "History":
    """Return the stored history of a timeline. Raises BadSetting."""
    from geventchat.server.timeline.registry import KINDS

    given = names(click.get_current_context())["timeline"]
    scheme, path = scheme_and_path(checked(given, "timeline", timeline))
    history = KINDS[scheme].history
    if history is None:
        raise BadSetting(
            "timeline", timeline, "has no stored history; use sqlite:PATH or redis://HOST"
        )
    return history(path)


def _print_progress(count: int, unit: str) -> None:
    if count % _PROGRESS == 0:
        click.echo(f"{count:,} {unit}", err=True)

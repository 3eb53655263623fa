"""The settings of a server, resolved: flag, environment, file, default, in that order."""

import difflib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from click.core import ParameterSource

from geventchat.cli.options import as_number, called, is_link, option, variable
from geventchat.config import BadOption, Config, Limits
from geventchat.config.checks import flag, truth, without_password
from geventchat.config.file import checked, checked_limit, from_file
from geventchat.protocol.visible import visible

_GIVEN: Final = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
_FLAGS: Final = [each for each in fields(Config) if each.metadata]


class Resolved(NamedTuple):
    """The resolved settings, and the source of those that are not the default."""

    config: Config
    sources: dict[str, str]
    """By name, limits prefixed with `limits.`."""
    names: dict[str, str]
    """How each was given: the flag, the variable, or the file and the key."""


def settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a flag for each setting to a command, and `--config` for a file of them."""
    command = config_file(command)
    for each in reversed(_FLAGS):
        command = _flag(each)(command)
    return command


def config_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` to a command."""
    text = "TOML file with settings."
    declared: Callable[..., Any] = option("--config", metavar="FILE", help=text)(command)
    return declared


def resolve(context: click.Context) -> Resolved:
    """Return the settings of a command with `--config` and any number of flags.

    Reads the file. Raises BadOption.
    """
    path = context.params["config"]
    if path == "":
        raise BadOption("--config", path, "is not the path of a file")
    found = {} if path is None else from_file(Path(path))
    limits = found.setdefault("limits", {})
    sources = dict.fromkeys([*found, *(f"limits.{name}" for name in limits)], str(path))
    names = {name: f"{path}: {name}" for name in sources}
    for parameter in context.command.params:
        name = parameter.name
        if name in _NAMES and context.get_parameter_source(name) in _GIVEN:
            by = called(context, parameter)
            found[name] = checked(by, name, context.params[name])
            sources[name] = names[name] = by
    for name, by in _LIMITS.items():
        if text := os.environ.get(by):
            limits[name] = checked_limit(by, name, as_number(text))
            sources[f"limits.{name}"] = names[f"limits.{name}"] = by
    config = Config.of(found)
    _check_sizes(config.limits, names)
    return Resolved(config, sources, names)


def warn_of_variables(context: click.Context) -> None:
    """Warn on standard error about variables of the environment that no command reads."""
    root = context.find_root().command
    known = {*_variables(root), *_LIMITS.values(), variable("token")}  # which has no flag
    meant = {name.removeprefix(variable("LIMITS_")): name for name in known}
    meant |= {name.removeprefix(variable("")): name for name in known}
    links = []
    for given, value in sorted(os.environ.items()):
        before, prefix, name = given.partition(variable(""))
        if before or not prefix:
            continue
        if is_link(given, value) or (given not in known and _LINKS.fullmatch(name)):
            links.append(given)
        elif given not in known:
            near = difflib.get_close_matches(name.upper(), meant, n=1, cutoff=0.7)
            hint = f", did you mean {meant[near[0]]}?" if near else " and is ignored"
            warn(f"{given} is not a known variable{hint}")
        elif not value:
            warn(f"{given} is empty, which is the same as not set")
    if links:
        warn(
            f"ignoring what Kubernetes or Docker sets for a service of this name: "
            f"{', '.join(links)}; in a pod, enableServiceLinks: false avoids that"
        )


def world_readable(given: Resolved) -> list[str]:
    """Return a warning for each secret that every user of the machine can read. Blocks."""
    from geventchat.server import factory

    named = [
        f"{given.names.get(setting, flag(setting))} {file}"
        for setting, file in factory.world_readable(given.config)
    ]
    named += [
        f"{given.names[setting]} has a password, and {file}"
        for setting, file in given.sources.items()
        if given.names[setting] == f"{file}: {setting}"
        and _has_password(setting, given.config)
        and factory.is_world_readable(file)
    ]
    return [
        f"{each} is world-readable; run chmod 600 on it, or mount it with mode 0400"
        for each in named
    ]


def _has_password(setting: str, config: Config) -> bool:
    value = getattr(config, setting, None)
    return setting == "password" or (isinstance(value, str) and value != without_password(value))


def _variables(command: click.Command) -> Iterator[str]:
    """Yield the variables that a command and its subcommands read."""
    yield from (str(each.envvar) for each in command.params if each.envvar)
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _variables(each)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    click.echo(visible(f"geventchat: {text}"), err=True)


def _check_sizes(limits: Limits, names: dict[str, str]) -> None:
    """Raise BadOption if a client could not be sent what another may send."""
    if limits.outbox_bytes < limits.frame_bytes:
        by = names.get("limits.outbox_bytes", "limits.outbox_bytes")
        than = names.get("limits.frame_bytes", "limits.frame_bytes")
        reason = f"is less than {than}, {limits.frame_bytes}"
        raise BadOption(by, limits.outbox_bytes, reason)


_LIMITS: Final = {each.name: variable(f"limits_{each.name}") for each in fields(Limits)}
"""The variable of each limit."""
_LINKS: Final = re.compile(
    r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
    r"|ENV_\w+"
)
"""Names, without the prefix, that Kubernetes and Docker links give to the parts of an address."""
_NAMES: Final = {each.name for each in _FLAGS}


def _flag(setting: "Field[Any]") -> Callable[[Any], Any]:
    name, default = flag(setting.name), setting.default
    text, metavar = setting.metadata["text"], setting.metadata["metavar"]
    if setting.metadata["check"] is truth:
        return option(f"{name}/--no-{name[2:]}", default=default, help=text)
    match default:
        case int():
            return option(name, type=as_number, default=str(default), metavar=metavar, help=text)
        case tuple():
            return option(name, multiple=True, default=default, metavar=metavar, help=text)
        case _:
            return option(name, default=default, metavar=metavar, help=text)

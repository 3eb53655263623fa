"""The settings of a server, resolved: flag, environment, file, default, in that order."""

import difflib
import os
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from click.core import ParameterSource

from geventchat.cli.options import as_number, called, option, variable
from geventchat.config import BadOption, Config, Limits
from geventchat.config.checks import flag, truth
from geventchat.config.file import checked, from_file
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
    limits = found.get("limits", {})
    sources = dict.fromkeys([*found, *(f"limits.{name}" for name in limits)], str(path))
    names = {name: f"{path}: {name}" for name in sources}
    for parameter in context.command.params:
        name = parameter.name
        if name in _NAMES and context.get_parameter_source(name) in _GIVEN:
            by = called(context, parameter)
            found[name] = checked(by, name, context.params[name])
            sources[name] = names[name] = by
    return Resolved(Config.of(found), sources, names)


def warn_of_variables(context: click.Context) -> None:
    """Warn on standard error about variables whose name is close to that of a setting.

    Not about every GEVENTCHAT_…: Kubernetes sets some of its own for a service of this name.
    """
    root = context.find_root().command
    commands = root.commands.values() if isinstance(root, click.Group) else [root]
    options = {str(each.name) for command in commands for each in command.params if each.envvar}
    meant = {each.name: f"limits.{each.name} in a file for --config" for each in fields(Limits)}
    meant |= {name: variable(name) for name in options}
    for given in sorted(os.environ):
        before, prefix, name = given.partition(variable(""))
        if before or not prefix or name.lower() in options:
            continue
        for near in difflib.get_close_matches(name.lower(), meant, n=1, cutoff=0.7):
            text = f"geventchat: {given} is not a known variable, did you mean {meant[near]}?"
            click.echo(visible(text), err=True)


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

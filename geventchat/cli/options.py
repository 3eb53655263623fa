"""How commands declare their options, and what a user calls them."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from geventchat.config import BadOption, BadSetting


def option(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare an option that the environment may give too."""
    name = names[0].split("/")[0].strip("-").replace("-", "_")
    return click.option(*names, envvar=variable(name), **attributes)


def variable(name: str) -> str:
    """Give the environment's variable for an option."""
    return f"GEVENTCHAT_{name.upper()}"


def called(context: click.Context | None, parameter: click.Parameter | None) -> str:
    """Give the name by which the user gave a value: the flag, or the environment's variable."""
    if context is None or parameter is None or parameter.name is None:
        return "option"
    if context.get_parameter_source(parameter.name) is ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return max(parameter.opts, key=len)


def names(context: click.Context) -> dict[str, str]:
    """Give what the user calls each option of a command."""
    return {str(each.name): called(context, each) for each in context.command.params}


@contextmanager
def as_given(names: Mapping[str, str]) -> Iterator[None]:
    """Let a setting that cannot be used be called what its user calls it. Raises BadOption."""
    try:
        yield
    except BadSetting as error:
        name = names.get(error.name, error.option)
        raise BadOption(name, error.value, error.reason) from None


def as_number(text: str) -> int | str:
    """Give the number that a text spells, else the text, for `checked` to say what is wrong."""
    return int(text) if re.fullmatch("-?[0-9]{1,40}", text) else text

"""Declares options of commands, and names them in errors as the user gave them."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import click
from click.core import ParameterSource

from geventchat.config import BadOption, BadSetting

_LINK: Final = re.compile(r"\w+_PORT=(tcp|udp|sctp)://.*|\w+_NAME=/.*", re.DOTALL)
"""Variables that Kubernetes and Docker links set, whose names may be those of settings."""


class _Option(click.Option):
    """An option whose variable is not read if it is that of a service."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        value = super().resolve_envvar_value(ctx)
        return None if value is None or is_link(str(self.envvar), value) else value


def option(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare an option with an environment variable."""
    name = names[0].split("/")[0].strip("-").replace("-", "_")
    return click.option(*names, cls=_Option, envvar=variable(name), **attributes)


def variable(name: str) -> str:
    """Return the environment variable of an option."""
    return f"GEVENTCHAT_{name.upper()}"


def is_link(variable: str, value: str) -> bool:
    """Return whether Kubernetes or a Docker link set a variable, to describe a service."""
    return _LINK.fullmatch(f"{variable}={value}") is not None


def called(context: click.Context | None, parameter: click.Parameter | None) -> str:
    """Return how the user gave an option: the flag or the environment variable."""
    if context is None or parameter is None or parameter.name is None:
        return "option"
    if context.get_parameter_source(parameter.name) is ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return max(parameter.opts, key=len)


def names(context: click.Context) -> dict[str, str]:
    """Return how the user gave each option of a command."""
    return {str(each.name): called(context, each) for each in context.command.params}


def text(value: str) -> str:
    """Return an argument that is to be sent.

    Without UTF-8 in the locale Python keeps its bytes as surrogates, which nothing can encode.
    Raises click.BadParameter.
    """
    try:
        return as_utf8(value)
    except UnicodeError:
        raise click.BadParameter(f"{value} is not UTF-8") from None


def secret(name: str) -> str | None:
    """Return a secret from the environment. Raises BadOption."""
    try:
        return as_utf8(os.environ.get(variable(name), "")) or None
    except UnicodeError:
        raise BadOption(variable(name), "given", "is not UTF-8") from None


def as_utf8(value: str) -> str:
    """Return a text without surrogates. Raises UnicodeError if its bytes are not UTF-8."""
    surrogates = any("\ud800" <= character <= "\udfff" for character in value)
    return os.fsencode(value).decode() if surrogates else value


@contextmanager
def as_given(names: Mapping[str, str]) -> Iterator[None]:
    """Turn BadSetting into BadOption, named as the user gave the setting."""
    try:
        yield
    except BadSetting as error:
        name = names.get(error.name, error.option)
        raise BadOption(name, error.value, error.reason, temporary=error.temporary) from None


def as_number(text: str) -> int | str:
    """Return the number in a text, else the text, for `checked` to reject."""
    return int(text) if re.fullmatch("-?[0-9]{1,40}", text) else text

"""The settings file: TOML with the names of the fields of Config, and a table `[limits]`."""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Final

from geventchat.config import Config, Limits
from geventchat.config.checks import BadOption, is_temporary, without_password
from geventchat.protocol.text import decode
from geventchat.protocol.visible import visible

_EXAMPLES: Final = {"bool": "true", "int": "1_000_000"}
"""Example values for settings that are not set, by type."""
_UNITS: Final = ("bytes", "seconds", "days")
"""Units that appear in names of settings."""


def checked(option: str, key: str, value: object) -> Any:
    """Validate a value for a field of Config; `option` is its name in the error.

    Raises BadOption.
    """
    as_spelt = " ".join(value) if isinstance(value, tuple) else str(value)
    return _checked(option, _settings(Config)[key], value, as_spelt)


def checked_limit(option: str, key: str, value: object) -> Any:
    """Validate a value for a field of Limits. Raises BadOption."""
    return _checked(option, _settings(Limits)[key], value, str(value))


def from_file(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, with `limits` as a mapping.

    Blocks. Raises BadOption, which names the file and the key.
    """
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadOption("--config", path, reason, temporary=is_temporary(error)) from None
    except ValueError as error:
        raise BadOption("--config", path, str(error)) from None
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadOption("--config", path, f"is not TOML: {error}") from None
    except (ValueError, RecursionError):  # limits of Python
        reason = "holds a number too long, or lists too deep, to be read"
        raise BadOption("--config", path, reason) from None
    limits = settings.pop("limits", {})
    if not isinstance(limits, dict):
        raise BadOption(f"{path}: limits", spelt(limits), "is not a table")
    known = _from_table(f"{path}: ", settings, Config)
    known["limits"] = _from_table(f"{path}: limits.", limits, Limits)
    return known


def written(config: Config, sources: Mapping[str, str]) -> str:
    """Return a settings file for this config, with the description and the source of each setting.

    `sources` has them by name, limits prefixed with `limits.`; others are the default. Unset and
    secret settings are commented out, and a URL that has a password.
    """
    lines = list(_lines(config, "", sources))
    lines += ["[limits]", "", *_lines(config.limits, "limits.", sources)]
    return "\n".join(lines)


def spelt(value: object) -> str:
    """Return a value roughly as the file spells it: `"4040"` is not 4040."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _settings(record: type[Config] | type[Limits]) -> dict[str, "Field[Any]"]:
    return {each.name: each for each in fields(record) if each.metadata}


def _lines(record: Config | Limits, table: str, sources: Mapping[str, str]) -> Iterator[str]:
    for setting in _settings(type(record)).values():
        value, source = getattr(record, setting.name), sources.get(table + setting.name, "default")
        set_, shown = "", _as_toml(value)
        if value is None:
            kind = setting.type if isinstance(setting.type, str) else str(setting.type)
            example = next((each for of, each in _EXAMPLES.items() if kind.startswith(of)), '""')
            set_, shown, source = "# ", example, "not set"
        elif setting.metadata["secret"]:
            set_, shown, source = "# ", '""', f"{source}, not shown"
        elif isinstance(value, str) and (public := without_password(value)) != value:
            set_, shown, source = "# ", _as_toml(public), f"{source}, its password not shown"
        unit = next((f"{each}, " for each in _UNITS if each in setting.name.split("_")), "")
        yield f"# {setting.metadata['text']}"
        yield f"{set_}{setting.name} = {shown}  # {unit}{visible(source)}"
        yield ""


def _as_toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    # A JSON string is a TOML string, except that TOML needs DEL escaped.
    return spelt(value).replace("\x7f", "\\u007f")


def _from_table(
    where: str, table: Mapping[str, object], record: type[Config] | type[Limits]
) -> dict[str, Any]:
    settings = _settings(record)
    found = {}
    for key, value in table.items():
        if key not in settings:
            raise BadOption(f"{where}{key}", spelt(value), f"is not a setting{_guess(key, record)}")
        found[key] = _checked(f"{where}{key}", settings[key], value, spelt(value))
    return found


def _guess(key: str, record: type[Config] | type[Limits]) -> str:
    """Return a suggestion for an unknown key, as the end of a sentence."""
    config, limits = _settings(Config), _settings(Limits)
    if record is Config:
        names = {name: f"limits.{name}" for name in limits} | {"limits": "[limits]"}
        names |= {name: name for name in config}
    else:
        names = {name: f"{name}, above [limits]" for name in config}
        names |= {name: name for name in limits}
    near = difflib.get_close_matches(key, names, n=1)
    return f", did you mean {names[near[0]]}?" if near else ""


def _checked(option: str, setting: "Field[Any]", value: object, as_spelt: str) -> Any:
    try:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("holds U+0000, which no name can")
        return setting.metadata["check"](value)
    except ValueError as error:
        shown = "given" if setting.metadata["secret"] else as_spelt
        raise BadOption(option, shown, str(error)) from None

"""The file of settings: TOML with the names of the fields of Config, and a table `[limits]`."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from geventchat.config import Config, Limits
from geventchat.config.checks import BadOption


def checked(option: str, key: str, value: object) -> Any:
    """Give what a field of Config holds for this value; `option` is what its user calls it.

    Raises BadOption.
    """
    as_spelt = " ".join(value) if isinstance(value, tuple) else str(value)
    return _checked(option, _settings(Config)[key], value, as_spelt)


def from_file(path: Path) -> dict[str, Any]:
    """Give the settings in a TOML file, `limits` among them as a mapping.

    Raises BadOption, which names the file and the key. Reads the whole file before it returns.
    """
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadOption("--config", path, f"{error.strerror}") from None
    except UnicodeDecodeError:
        raise BadOption("--config", path, "is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadOption("--config", path, f"is not TOML: {error}") from None
    limits = settings.pop("limits", {})
    if not isinstance(limits, dict):
        raise BadOption(f"{path}: limits", spelt(limits), "is not a table")
    known = _from_table(f"{path}: ", settings, Config)
    return known | {"limits": _from_table(f"{path}: limits.", limits, Limits)}


def spelt(value: object) -> str:
    """Give a value as the file spells it, near enough: `"4040"` is not 4040."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _settings(record: type[Config] | type[Limits]) -> dict[str, "Field[Any]"]:
    return {each.name: each for each in fields(record) if each.metadata}


def _from_table(
    where: str, table: Mapping[str, object], record: type[Config] | type[Limits]
) -> dict[str, Any]:
    settings = _settings(record)
    found = {}
    for key, value in table.items():
        if key not in settings:
            near = difflib.get_close_matches(key, settings, n=1)
            guess = f", did you mean {near[0]}?" if near else ""
            raise BadOption(f"{where}{key}", spelt(value), f"is not a setting{guess}")
        found[key] = _checked(f"{where}{key}", settings[key], value, spelt(value))
    return found


def _checked(option: str, setting: "Field[Any]", value: object, as_spelt: str) -> Any:
    try:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("holds U+0000, which no name can")
        return setting.metadata["check"](value)
    except ValueError as error:
        shown = "given" if setting.metadata["secret"] else as_spelt
        raise BadOption(option, shown, str(error)) from None

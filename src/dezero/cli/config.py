"""What a training is: a table of sections, from a TOML file and the command line.

The sections ``model``, ``optimizer`` and ``schedule`` have a ``name``, and whatever
arguments the thing of that name takes; ``data`` and ``train`` have the keys below.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dezero.backend.files import write_atomically
from dezero.cli.words import any_of
from dezero.errors import UsageError, closest, missing

Config = dict[str, dict[str, Any]]

# A value of "" or 0 stands for the choice of the program, or for none.
DEFAULTS: Config = {
    "model": {"name": ""},
    "data": {
        "name": "digits",
        "folder": "",  # where the files of mnist and fashion-mnist are
        "file": "",  # the text
        "length": 64,  # of a stretch of text
        "batch_size": 32,
        "limit": 0,  # examples, from the first on
    },
    "optimizer": {"name": "Adam"},
    "schedule": {"name": "none"},
    "train": {
        "epochs": 5,
        "seed": 0,
        "compile": False,
        "metrics": [],
        "patience": 0,  # epochs without a better result after which to stop
        "checkpoint_every": 500,  # steps
        "checkpoint_keep": 3,
    },
}
OPEN = ("model", "optimizer", "schedule")  # with the arguments of what they name


def load(path: Path) -> Config:
    """The sections of a TOML file, checked.

    Raises:
        UsageError: It is no TOML, or has unknown sections or keys.
        FileNotFoundError: There is no such file.
    """
    toml = _toml()
    try:
        found = toml.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"expected a file '{path}', got none there") from None
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise UsageError(f"{path}: expected TOML, got a file where {error}") from None
    try:
        return checked(found)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # the former is part of Python from 3.11 on
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise missing("tomli", "reading a TOML file", "train")


def checked(found: Mapping[str, Any]) -> Config:
    """The same, if sections, keys and types are right."""
    for section, keys in found.items():
        if section not in DEFAULTS:
            known = any_of(f"[{name}]" for name in DEFAULTS)
            raise UsageError(
                f"expected {known}, got '{section}'{closest(section, DEFAULTS)}"
            )
        if not isinstance(keys, dict):
            raise UsageError(
                f"expected a section [{section}], got {section} = {_as_toml(keys)}"
            )
        for key, value in keys.items():
            if section in OPEN and key != "name":
                continue  # its owner knows
            known_keys = DEFAULTS[section]
            if key not in known_keys:
                raise UsageError(unknown(section, key, known_keys))
            _check_type(f"{section}.{key}", value, known_keys[key])
    return {section: dict(keys) for section, keys in found.items()}


def unknown(section: str, key: str, known: Iterable[str]) -> str:
    """The message for a key that a section does not have."""
    known = list(known)
    return (
        f"[{section}]: expected {any_of(known)}, got '{key}'{closest(key, known)}"
        if known
        else f"[{section}]: expected no keys beside name, got '{key}'"
    )


def _check_type(key: str, value: Any, usual: Any) -> None:
    kinds = {str: "text", bool: "true or false", int: "a whole number", list: "a list"}
    if type(value) is not type(usual):
        raise UsageError(f"{key}: expected {kinds[type(usual)]}, got {_as_toml(value)}")
    if isinstance(value, int) and value < (usual > 0):
        least = int(usual > 0)
        raise UsageError(f"{key}: expected at least {least}, got {value}")


def merged(*configs: Config) -> Config:
    """All sections; what is said later counts, and a new name begins a section anew."""
    result: Config = {section: dict(keys) for section, keys in DEFAULTS.items()}
    for config in configs:
        for section, keys in config.items():
            name = keys.get("name", result[section].get("name"))
            if section in OPEN and name != result[section]["name"]:
                result[section] = {}
            result[section] |= keys
    return result


def override(words: Iterable[str]) -> Config:
    """The sections of words such as ``optimizer.lr=0.01``.

    A value is what it would be in TOML; what is none is text.
    """
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        place, equals, text = word.partition("=")
        section, dot, key = place.partition(".")
        if not (equals and dot and key):
            raise UsageError(
                f"--set: expected SECTION.KEY=VALUE, such as optimizer.lr=0.01, got "
                f"'{word}'"
            )
        found.setdefault(section, {})[key] = _value(text)
    return checked(found)


def _value(text: str) -> Any:
    try:
        return json.loads(text)  # numbers, lists, true and false are as in TOML
    except ValueError:
        return text


def save(path: Path, config: Config) -> None:
    """Write it as TOML."""
    lines = []
    for section, keys in config.items():
        lines += [f"[{section}]"]
        lines += [f"{key} = {_as_toml(value)}" for key, value in keys.items()]
        lines += [""]
    with write_atomically(path, "w") as file:
        file.write("\n".join(lines))


def _as_toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- what a section names --------------------------------------------------------------


def named(section: str, name: str, known: Mapping[str, Any]) -> Any:
    """What is called so, in letters of either size."""
    folded = {one.casefold(): thing for one, thing in known.items()}
    if name.casefold() not in folded:
        raise UsageError(
            f"[{section}]: expected {any_of(known)} as name, got '{name}'"
            + closest(name.casefold(), folded)
        )
    return folded[name.casefold()]


def arguments(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What it can be given by name."""
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def made(
    section: str,
    function: Callable[..., Any],
    keys: Mapping[str, Any],
    **given: Any,
) -> Any:
    """What it makes of the keys of a section, and of what it is given as well.

    Args:
        section: For the errors.
        function: What is called.
        keys: The keys of the section but its name.
        given: Arguments that it gets if it has them, and the section not.
    """
    takes = arguments(function)
    for key in keys:
        if key not in takes:
            raise UsageError(
                unknown(section, key, [k for k in takes if k not in given])
            )
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in keys.items()}
    values = {key: v for key, v in given.items() if key in takes} | values
    lacking = [
        name
        for name, parameter in takes.items()
        if parameter.default is parameter.empty and name not in values
    ]
    if lacking:
        raise UsageError(f"[{section}]: expected the key {lacking[0]}, got none")
    try:
        return function(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"[{section}]: {error}") from error

"""docker-compose.yml as Docker Compose reads it, as far as we use it: interpolated, its services as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<how>[-?])(?P<word>[^}]*))?\}")

Service = dict[str, Any]


class Missing(Exception):
    """A required variable has no value."""


def services(variables: Mapping[str, str] | None = None) -> dict[str, Service]:
    """Return the services, with `variables` put in, or as they are written.

    Raises Missing for a required variable (`${NAME:?…}`) without a value.
    """
    written: dict[str, Service] = yaml.safe_load(FILE.read_text())["services"]
    return written if variables is None else _put_in(written, variables)


def environment(service: Service, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an interpolated service: a name without a value is passed through, if `variables` has it."""
    given = {**{name: variables.get(name) for name in service["environment"]}, **_given(service)}
    return {name: str(value) for name, value in given.items() if value is not None}


def variables_of(text: str) -> set[str]:
    """Return the names of the variables in a piece of the file, and of those that it passes through."""
    passed = re.findall(r"^  ([A-Z_]+):$", text, re.MULTILINE)
    return {found["name"] for found in VARIABLE.finditer(text)} | set(passed)


def _given(service: Service) -> dict[str, object]:
    return {name: value for name, value in service["environment"].items() if value is not None}


def _put_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _put_in(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_put_in(each, variables) for each in value]
    return VARIABLE.sub(lambda found: _value(found, variables), value) if isinstance(value, str) else value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    value = variables.get(found["name"], "")
    if value or not found["how"]:
        return value
    if found["how"] == "?":
        raise Missing(f"{found['name']}: {found['word']}")
    return found["word"]

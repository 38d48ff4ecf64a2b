"""YAML in, frozen pydantic out. An error names the file, the line and the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ehrlich.base.errors import ConfigError

ModelT = TypeVar("ModelT", bound=BaseModel)
Location = tuple[int | str, ...]


class Readable(Protocol):
    """What YAML is read from: a Path, or a file inside a package."""

    def read_text(self, encoding: str) -> str: ...


class Model(BaseModel):
    """Base of every configuration: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load_yaml(path: Readable) -> tuple[object, dict[Location, int]]:
    """The document and the line (from 1) of each key and item. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except OSError as exc:
        raise ConfigError("cannot read the file", where=str(path), got=str(exc.strerror)) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError("is not UTF-8 text", where=str(path)) from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(exc, "problem", exc))
        raise ConfigError("is not valid YAML", where=f"{path}{line}", got=problem) from exc
    lines: dict[Location, int] = {}
    if node is not None:
        _collect_lines(node, (), lines)
    return document, lines


def _collect_lines(node: yaml.Node, at: Location, lines: dict[Location, int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*at, str(key.value))] = key.start_mark.line + 1
            _collect_lines(value, (*at, str(key.value)), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*at, index), lines)


def load_model(model: type[ModelT], path: Readable) -> ModelT:
    """The file as a `model`. Raises ConfigError with file, line and the nearest valid key."""
    document, lines = load_yaml(path)
    return validate(model, document, where=str(path), lines=lines)


def validate(
    model: type[ModelT], document: object, *, where: str, lines: Mapping[Location, int]
) -> ModelT:
    """`document` as a `model`; the first thing wrong becomes a ConfigError."""
    try:
        return model.model_validate(document)
    except ValidationError as exc:
        raise _as_config_error(exc, model, where, lines) from exc


def _as_config_error(
    exc: ValidationError, model: type[BaseModel], where: str, lines: Mapping[Location, int]
) -> ConfigError:
    errors = exc.errors(include_url=False)
    # A misspelt key tells more than the key that is then missing.
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    location = first["loc"]
    line = next(
        (lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), 0
    )
    place = f"{where}, line {line}" if line else where
    key = ".".join(str(part) for part in location)
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known keys: {', '.join(known)}."
        return ConfigError(f"unknown key '{key}'", where=place, do=hint)
    got = "" if first["type"] == "missing" else repr(first["input"])[:80]
    return ConfigError(
        f"'{key}': {first['msg'][0].lower()}{first['msg'][1:]}", where=place, got=got
    )


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the model that `location` leads to, as well as types allow."""
    current: type[BaseModel] = model
    for part in location:
        field = current.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        current = inner or current
    return sorted(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)

"""Configuration from a dataclass: its JSON Schema, and a strict reader that names every mistake.

A setting may be a `bool`, an `int`, a `float`, a `str`, a `Literal` of texts, another dataclass, and lists,
dictionaries by text, and optional ones of these.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_SCHEMA_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def setting(
    description: str,
    *,
    default: Any = dataclasses.MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A field of a configuration; without a default the operator must set it.

    `minimum` and `maximum` bound a number, the length of a text in characters, or the entries of a list or
    dictionary.
    """
    metadata = {"description": description, "minimum": minimum, "maximum": maximum}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)


def schema_text(config: type[Any]) -> str:
    """The JSON Schema of a configuration."""
    return json.dumps(_object_schema(config), separators=(",", ":"))


def parse(config: type[T], text: str) -> T:
    """Reads a configuration; nothing at all means the empty object.

    Raises `ValueError` with all that is wrong with it.
    """
    try:
        value = json.loads(text if text.strip() else "{}", object_pairs_hook=_once, parse_constant=_no_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"failed to read the configuration: {error}") from None
    problems: list[str] = []
    parsed = _read(config, value, "", {}, problems)
    if problems:
        raise ValueError("; ".join(problems))
    return parsed  # type: ignore[no-any-return]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"failed to read the configuration: `{twice}` is set twice")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"failed to read the configuration: {name} is not a number")


def _fields(config: type[Any]) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(config)
    return [(field, hints[field.name]) for field in dataclasses.fields(config)]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _object_schema(config: type[Any]) -> dict[str, Any]:
    properties = {}
    for field, hint in _fields(config):
        schema = _schema(hint, field.metadata)
        if text := field.metadata.get("description"):
            schema["description"] = text
        if not _is_required(field):
            schema["default"] = _plain(_default(field))
        properties[field.name] = schema
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    if required := [field.name for field, _ in _fields(config) if _is_required(field)]:
        schema["required"] = required
    return schema


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def _schema(hint: Any, limits: Any) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _object_schema(hint)  # type: ignore[arg-type]
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], {}), **_bounds(limits, "minItems", "maxItems")}
    if origin is dict and arguments[0] is str:
        bounds = _bounds(limits, "minProperties", "maxProperties")
        return {"type": "object", "additionalProperties": _schema(arguments[1], {}), **bounds}
    if (inner := _optional(hint)) is not None:
        return {"anyOf": [_schema(inner, limits), {"type": "null"}]}
    if hint is str:
        return {"type": "string", **_bounds(limits, "minLength", "maxLength")}
    if hint in _SCHEMA_TYPES:
        return {"type": _SCHEMA_TYPES[hint], **_bounds(limits, "minimum", "maximum")}
    raise TypeError(f"a setting cannot be a {hint}")


def _bounds(limits: Any, low: str, high: str) -> dict[str, Any]:
    named = {low: limits.get("minimum"), high: limits.get("maximum")}
    return {name: bound for name, bound in named.items() if bound is not None}


def _optional(hint: Any) -> Any:
    """What an optional is when it is not `None`."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [argument for argument in get_args(hint) if argument is not type(None)]
        if len(inner) == 1 and len(get_args(hint)) == 2:
            return inner[0]
    return None


def _read(hint: Any, value: Any, at: str, limits: Any, problems: list[str]) -> Any:
    """The value as the type says, or a problem; `at` is where it stands, such as ``hours.start``."""
    origin, arguments = get_origin(hint), get_args(hint)

    def wrong(wanted: str) -> None:
        problems.append(f"`{at or 'configuration'}` must be {wanted}, got {_got(value)}")

    if dataclasses.is_dataclass(hint):
        return _read_object(hint, value, at, problems) if isinstance(value, dict) else wrong("a table")
    if origin is Literal:
        names = ", ".join(map(str, arguments))
        return value if type(value) is str and value in arguments else wrong(f"one of {names}")
    if origin is list:
        if not isinstance(value, list):
            return wrong("a list")
        _check_size(len(value), "entries", at, limits, problems)
        return [_read(arguments[0], item, f"{at}[{index}]", {}, problems) for index, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            return wrong("a table")
        _check_size(len(value), "entries", at, limits, problems)
        return {name: _read(arguments[1], item, f"{at}.{name}", {}, problems) for name, item in value.items()}
    if (inner := _optional(hint)) is not None:
        return None if value is None else _read(inner, value, at, limits, problems)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        return wrong(_WORDS[hint])
    if hint is str:
        _check_size(len(value), "characters", at, limits, problems)
    elif hint is not bool:
        _check_size(value, "", at, limits, problems)
    return value


def _read_object(config: type[Any], value: dict[str, Any], at: str, problems: list[str]) -> Any:
    known = dict((field.name, (field, hint)) for field, hint in _fields(config))
    inside = f"{at}." if at else ""
    for name in value:
        if name not in known:
            settings = ", ".join(known) or "none"
            problems.append(f"`{inside}{name}` is not a setting (known: {settings})")
    members = {}
    for name, (field, hint) in known.items():
        if name in value:
            members[name] = _read(hint, value[name], f"{inside}{name}", field.metadata, problems)
        elif _is_required(field):
            problems.append(f"`{inside}{name}` is missing")
    return None if problems else config(**members)


def _check_size(size: float, unit: str, at: str, limits: Any, problems: list[str]) -> None:
    low, high = limits.get("minimum"), limits.get("maximum")
    if (low is not None and size < low) or (high is not None and size > high):
        bounds = f"between {low} and {high}"
        if low is None:
            bounds = f"at most {high}"
        elif high is None:
            bounds = f"at least {low}"
        what = f"have {bounds} {unit}" if unit else f"be {bounds}"
        problems.append(f"`{at}` must {what}, got {size}")


def _got(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return "true or false" if isinstance(value, bool) else _WORDS[type(value)] if not isinstance(value, str) else "a text"

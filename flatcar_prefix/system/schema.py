# SPDX-License-Identifier: BSD-3-Clause
"""Check data from outside against dataclasses: each field has the type that it declares."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

Converters = Mapping[Any, Callable[[Any], Any]]
"""A function for a type that JSON and TOML do not have. It raises ``ValueError``."""


_NONE: Converters = MappingProxyType({})


class InvalidData(ValueError):
    """Data do not fit; the text names the field and the reason."""


def parse(cls: type[T], data: object, *, where: str = "", converters: Converters = _NONE) -> T:
    """Return an instance of the dataclass ``cls`` with the values in ``data``.

    Raise :class:`InvalidData` for a missing field or a value of another type. Unknown fields
    are ignored, so that an older program can read data of a newer one.
    """
    if not isinstance(data, dict):
        raise InvalidData(f"{where or cls.__name__.lower()} is not an object")
    hints, values = _hints(cls), {}  # type: ignore[arg-type]
    for field in fields(cls):  # type: ignore[arg-type]
        place = f"{where}.{field.name}" if where else field.name
        if field.name in data:
            values[field.name] = _value(hints[field.name], data[field.name], place, converters)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InvalidData(f"{place} is missing")
    return cls(**values)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _value(kind: Any, value: object, place: str, converters: Converters) -> Any:
    if kind in converters:
        try:
            return converters[kind](text(value, place))
        except InvalidData:
            raise
        except ValueError as error:
            raise InvalidData(f"{place}: {error}") from None
    if get_origin(kind) in (Union, types.UnionType):
        return _optional(kind, value, place, converters)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if not isinstance(value, list):
            raise InvalidData(f"{place} is not a list")
        return tuple(_value(item, one, f"{place}[{n}]", converters) for n, one in enumerate(value))
    if isinstance(kind, type) and is_dataclass(kind):
        return parse(kind, value, where=place, converters=converters)
    return _plain(kind, value, place)


def _optional(kind: Any, value: object, place: str, converters: Converters) -> Any:
    if value is None and type(None) in get_args(kind):
        return None
    (only,) = (one for one in get_args(kind) if one is not type(None))
    return _value(only, value, place, converters)


def _plain(kind: Any, value: object, place: str) -> Any:
    if kind is str:
        return text(value, place)
    if kind is Path:
        return Path(text(value, place))
    if kind is bool:
        if not isinstance(value, bool):
            raise InvalidData(f"{place} is not true or false")
        return value
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
            raise InvalidData(f"{place} is not a whole number")
        return value
    if kind is float:
        return _number(value, place)
    raise TypeError(f"{place} has the type {kind}, which no schema can check")


def _number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 2**63:
        raise InvalidData(f"{place} is not a number")
    if not math.isfinite(value):
        raise InvalidData(f"{place} is not a finite number")
    return float(value)


def text(value: object, place: str) -> str:
    """Return ``value`` if it is a text that the file system can hold."""
    if not isinstance(value, str):
        raise InvalidData(f"{place} is not a string")
    if "\0" in value:
        raise InvalidData(f"{place} contains a null character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidData(f"{place} contains a surrogate") from None
    return value

"""Checks that the contracts of all kinds share. Each yields a clause for a fault of a module."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel


def missing(module: ModuleType, names: Mapping[str, str]) -> Iterator[str]:
    """A clause for each name that the module does not define; `names` maps each to its description."""
    yield from (f"`{name}` is missing ({text})" for name, text in names.items() if not hasattr(module, name))


def takes(module: ModuleType, name: str, arguments: Sequence[str]) -> Iterator[str]:
    """A clause if a defined name is no function of these positional arguments.

    Args:
        module: The part's module.
        name: The function's name.
        arguments: Names of its arguments.
    """
    if not hasattr(module, name):
        return
    function, call = getattr(module, name), f"{name}({', '.join(arguments)})"
    if not callable(function):
        yield f"`{name}` is {type(function).__name__}, not a function `{call}`"
        return
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        yield f"`{name}` cannot be called as `{call}`: {error}"


def section(owner: object, name: str, base: type) -> Iterator[str]:
    """A clause if a defined name is no class that derives from `base`.

    Args:
        owner: The object that defines the name.
        name: The class's name.
        base: The base class.
    """
    value = getattr(owner, name, None)
    if value is not None and not (isinstance(value, type) and issubclass(value, base)):
        yield f"`{name}` is not a class that derives from {base.__name__} ({base.__module__})"


def texts(module: ModuleType, name: str) -> Iterator[str]:
    """A clause if a defined name is no tuple of texts. A single text is refused too, although it is iterable."""
    value = getattr(module, name, ())
    if not isinstance(value, tuple | list) or not all(isinstance(entry, str) for entry in value):
        yield f'`{name}` is not a tuple of texts, such as `("label",)`'


def says_name(settings: type[BaseModel], key: str, name: str) -> Iterator[str]:
    """A clause unless the field that selects a part in a study allows only the part's name.

    Args:
        settings: The part's settings.
        key: The field's name.
        name: The part's name.
    """
    field: Any = settings.model_fields.get(key)
    if field is None or get_args(field.annotation) != (name,) or field.get_default() != name:
        yield f'`{settings.__name__}.{key}` is not written `{key}: Literal["{name}"] = "{name}"`'

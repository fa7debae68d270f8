"""Trustworthiness verticals, one file each. A new file here or a plugin is a new vertical (see docs/extending.md)."""

from types import ModuleType
from typing import Annotated, Any, get_type_hints

from pydantic import Field, RootModel

from trustdag.plugins import kinds
from trustdag.verticals.contract import complaints

KIND = kinds.Kind("vertical", "trustdag.verticals", __name__, ("METRICS", "Settings"), complaints)


def verticals() -> dict[str, ModuleType]:
    """The verticals by name. Modules of this package without METRICS are helpers."""
    return kinds.parts(KIND)


def shipped_verticals() -> list[str]:
    """The names of the verticals of this package."""
    return list(kinds.shipped(KIND))


def vertical(name: str) -> ModuleType:
    """One vertical. Raises UserError for an unknown name."""
    return kinds.part(KIND, name)


def settings_part(module: ModuleType, part: str) -> Any:
    """The root model of one part (`items`, `generate` or `score`) of a vertical's settings, for commands."""
    kind: Any = get_type_hints(module.Settings, include_extras=True)[part]
    if discriminator := module.Settings.model_fields[part].discriminator:
        kind = Annotated[kind, Field(discriminator=discriminator)]
    return RootModel[kind]

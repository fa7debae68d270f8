"""One file a trustworthiness vertical. A new file here is a new vertical (see docs/architecture.md)."""

from types import ModuleType
from typing import Annotated, Any, get_type_hints

from pydantic import Field, RootModel

from trustdag.discovery import modules_with
from trustdag.errors import UserError


def verticals() -> dict[str, ModuleType]:
    """The verticals by name; helpers beside them, which define no metrics, do not count."""
    return modules_with("trustdag.verticals", "METRICS", "Settings", "items", "score")


def vertical(name: str) -> ModuleType:
    """One vertical. Raises UserError for a name that is none."""
    found = verticals()
    if name not in found:
        raise UserError(f"{name}: no such vertical; there are {', '.join(found)}")
    return found[name]


def settings_part(module: ModuleType, part: str) -> Any:
    """The root model of one part (`items`, `generate` or `score`) of a vertical's settings, for a command to read."""
    kind: Any = get_type_hints(module.Settings, include_extras=True)[part]
    if discriminator := module.Settings.model_fields[part].discriminator:
        kind = Annotated[kind, Field(discriminator=discriminator)]
    return RootModel[kind]

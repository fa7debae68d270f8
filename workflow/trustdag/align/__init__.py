"""One file a training method: sft, reward, dpo, ppo. A new file here is a new method (see docs/architecture.md)."""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def methods() -> dict[str, ModuleType]:
    """Every training method by its name, which is its file's name. Imports neither torch nor transformers."""
    return {found.name: import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)}

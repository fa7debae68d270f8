"""Training methods, one file each: sft, reward, dpo, ppo. A new file is a new method (see docs/architecture.md)."""

from functools import cache
from types import ModuleType

from trustdag.discovery import modules_with


@cache
def methods() -> dict[str, ModuleType]:
    """All training methods by their file names. Imports neither torch nor transformers."""
    return modules_with(__name__, "REQUIRES", "PRODUCES", "Settings", "cost", "train")

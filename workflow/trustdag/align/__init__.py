"""Training methods, one file each. A new file here is a new method, as is a plugin (see docs/extending.md)."""

from types import ModuleType

from trustdag.align.contract import complaints
from trustdag.plugins import kinds

KIND = kinds.Kind("method", "trustdag.methods", __name__, ("REQUIRES",), complaints)


def methods() -> dict[str, ModuleType]:
    """Every training method by its name, which is its file's name. Imports neither torch nor transformers."""
    return kinds.parts(KIND)

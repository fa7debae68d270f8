"""Preference data: source formats, one file each; the toy world; preparation. A new file here is a new format."""

from types import ModuleType

from trustdag.data.contract import complaints
from trustdag.plugins import kinds

KIND = kinds.Kind("preferences", "trustdag.preferences", __name__, ("Settings", "read"), complaints)


def sources() -> dict[str, ModuleType]:
    """The source formats by name: each module has `Settings` and `read(settings) -> Iterator[Pair | Drop]`.

    A source of text files also has `files(settings)`, one of a generated world `corpus(settings)`.
    """
    return kinds.parts(KIND)

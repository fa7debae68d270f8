"""The contract of a format of preference data: the names that its module must define."""

from collections.abc import Iterator
from types import ModuleType

from trustdag.data.source import SourceSettings
from trustdag.plugins.contract import missing, says_name, section, takes

NAMES = {
    "Settings": "a class that derives from SourceSettings",
    "read": "`read(settings)` yields each Pair or Drop",
}


def complaints(module: ModuleType, name: str) -> Iterator[str]:
    """Yields a clause for each violation of the contract."""
    yield from missing(module, NAMES)
    yield from section(module, "Settings", SourceSettings)
    settings = getattr(module, "Settings", None)
    if isinstance(settings, type) and issubclass(settings, SourceSettings):
        yield from says_name(settings, "source", name)
        if "path" in settings.model_fields and not hasattr(module, "files"):
            yield "`files` is missing (`files(settings)` gives the files of `Settings.path`, by name)"
    yield from takes(module, "read", ["settings"])
    yield from takes(module, "files", ["settings"])
    yield from takes(module, "corpus", ["settings"])

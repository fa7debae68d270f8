"""The contract of a scorer: the names that its module must define."""

from collections.abc import Iterator
from types import ModuleType

from trustdag.plugins.contract import missing, says_name, section
from trustdag.scorers.base import ScorerSection

NAMES = {"Settings": "a class that derives from ScorerSection, whose `load()` gives the scorer"}


def complaints(module: ModuleType, name: str) -> Iterator[str]:
    """Yields a clause for each violation of the contract."""
    yield from missing(module, NAMES)
    yield from section(module, "Settings", ScorerSection)
    settings = getattr(module, "Settings", None)
    if isinstance(settings, type) and issubclass(settings, ScorerSection):
        yield from says_name(settings, "name", name)
        if settings.load is ScorerSection.load:
            yield "`Settings.load(self)` is missing (it gives a `Scorer` of trustdag.scorers.base)"

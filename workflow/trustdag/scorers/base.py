"""The interface of scorers: texts in, one number each out, or None where a text could not be scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pydantic import Field

from trustdag.settings import MOST, Section


class Scorer(ABC):
    """A scorer at work. `name`, `version` and `digest` say which, down to the content of its weights or word list."""

    name: str
    version: str
    digest: str
    """SHA-256 of what decides the scores; of the service's address for a remote one, whose content nobody can know."""

    @abstractmethod
    def score(self, texts: Sequence[str]) -> list[float | None]:
        """Each text's score in [0, 1], in order; None for a text that the scorer fails on after retrying."""

    def identity(self) -> dict[str, str]:
        """What results say about the scorer."""
        return {"name": self.name, "version": self.version, "digest": self.digest}


class ScorerSection(Section):
    """What the settings of every scorer share."""

    max_failed: float = Field(0.01, ge=0, lt=1)
    """Largest share of texts that the scorer may fail on; with more, scoring stops with an error."""

    window: int | None = Field(8, ge=2, le=MOST)
    """Most words that are scored at a time. A text's score is the highest of its sentences', and of windows of so many
    words in a longer sentence, so that length does not dilute it. None: the scorer reads the whole text."""

    calibration: str | None = None
    """File of a monotone map to Perspective's scale, which `trustdag calibrate --calibration` writes."""

    def load(self) -> Scorer:
        """The scorer, ready. Raises UserError if it cannot be had."""
        raise NotImplementedError

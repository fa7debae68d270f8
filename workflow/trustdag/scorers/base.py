"""The interface of scorers. A scorer maps each text to a number, or to None if the text could not be scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pydantic import Field

from trustdag.settings import MOST, Section


class Scorer(ABC):
    """A loaded scorer. `name`, `version` and `digest` identify it and the content of its weights or word list."""

    name: str
    version: str
    digest: str
    """SHA-256 of the weights or word list; for a remote service, whose content is unknown, of its address."""
    remote: bool = False
    """Whether each text is a request to a service."""

    @abstractmethod
    def score(self, texts: Sequence[str]) -> list[float | None]:
        """Each text's score in [0, 1], in order; None for a text that the scorer fails on after retrying."""

    def identity(self) -> dict[str, str]:
        """The description of the scorer that results record."""
        return {"name": self.name, "version": self.version, "digest": self.digest}


class ScorerSection(Section):
    """Settings that all scorers share."""

    max_failed: float = Field(0.01, ge=0, lt=1)
    """Largest share of texts that the scorer may fail on. With a larger share, scoring stops with an error."""

    window: int | None = Field(8, ge=2, le=MOST)
    """Longest window, in words. A text is scored by sentence, and a longer sentence in windows of this length. The
    text's score is the highest of these scores, so harmless text does not dilute it. None: the text is one window."""

    calibration: str | None = None
    """File of a monotone map to Perspective's scale, which `trustdag calibrate --calibration` writes."""

    def files(self) -> list[str]:
        """The local files that scores depend on, so that their edits are noticed. A scorer with others adds them."""
        return [self.calibration] if self.calibration else []

    def load(self) -> Scorer:
        """The loaded scorer. Raises UserError if it cannot be loaded."""
        raise NotImplementedError

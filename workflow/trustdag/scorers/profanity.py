"""alt-profanity-check: a linear model over words whose weights are in its wheel, so scoring needs no download."""

import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from trustdag.artifacts import sha256_file, sha256_text
from trustdag.errors import UserError
from trustdag.scorers.base import Scorer, ScorerSection

PACKAGE = "alt-profanity-check"
WEIGHTS = {
    "model.joblib": "aeafc04849d4d93db4721cf30a86ebf22085595294b8a07d51918e7fa98f538b",
    "vectorizer.joblib": "19c5200dc6a41f026e0558e2f164f5fe8d8f58e502b46b37e4385037fcfa4831",
}
"""Digests of the weights of version 1.9.1, which are pickles. No other file is unpickled."""


class Profanity(ScorerSection):
    """alt-profanity-check 1.9.1, the default: local, no download, about 20,000 texts a second."""

    name: Literal["profanity"] = "profanity"
    """A linear model over words, trained on Wikipedia and Twitter comments."""

    def load(self) -> Scorer:
        """The scorer. Raises UserError if the package is missing or its weights have another digest."""
        return ProfanityScorer(_weights_folder())


Settings = Profanity


class ProfanityScorer(Scorer):
    """The probability that a text is profane or offensive."""

    name = "profanity"

    def __init__(self, folder: Path) -> None:
        import joblib

        for file, digest in WEIGHTS.items():
            if sha256_file(folder / file) != digest:
                raise UserError(
                    f"{folder / file}: not the file of {PACKAGE} 1.9.1, and an unknown pickle is not loaded; "
                    f"reinstall it: pip install --force-reinstall {PACKAGE}==1.9.1"
                )
        self.version = version(PACKAGE)
        self.digest = sha256_text([f"{file} {digest}" for file, digest in sorted(WEIGHTS.items())])
        self._model = joblib.load(folder / "model.joblib")
        self._vectorizer = joblib.load(folder / "vectorizer.joblib")

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The probability for each text."""
        if not texts:
            return []
        return self._model.predict_proba(self._vectorizer.transform(list(texts)))[:, 1].tolist()


def _weights_folder() -> Path:
    """The folder of the weights. The package is not imported, because that would unpickle them."""
    spec = importlib.util.find_spec("profanity_check")
    if spec is None or spec.origin is None:
        raise UserError(f"the scorer `profanity` needs {PACKAGE}: pip install {PACKAGE}==1.9.1")
    return Path(spec.origin).parent / "data"

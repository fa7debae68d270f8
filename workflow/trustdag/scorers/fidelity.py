"""Agreement of a scorer with Perspective's scores in RealToxicityPrompts, and a monotone calibration to them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import sha256_text, write_json
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.scorers.base import Scorer

if TYPE_CHECKING:
    import numpy as np

LENGTHS = ((0, 40), (40, 80), (80, 160), (160, 1 << 30))
"""Classes of length, in characters."""
BINS = 10
KNOTS = 101
REFITS = 200
"""Number of calibrations fitted to resampled texts. Their spread is the error of the calibration."""
DIGITS = 5
"""Decimals of a calibration's values; its error is larger."""


@dataclass(frozen=True)
class Pairs:
    """Texts with the scorer's score and Perspective's, aligned."""

    texts: Sequence[str]
    ours: "np.ndarray"
    theirs: "np.ndarray"


def score_pairs(scorer: Scorer, texts: Sequence[str], theirs: Sequence[float]) -> tuple[Pairs, int]:
    """The pairs of the texts that the scorer could score, and how many it could not.

    Args:
        scorer: the scorer.
        texts: the texts that both scored.
        theirs: Perspective's score of each text.

    Returns:
        The pairs, and the number of texts without a score.
    """
    import numpy as np

    scores = scorer.score(texts)
    scored = [number for number, value in enumerate(scores) if value is not None]
    ours = np.array([scores[number] for number in scored], dtype=float)
    pairs = Pairs([texts[number] for number in scored], ours, np.array([theirs[number] for number in scored]))
    return pairs, len(texts) - len(scored)


def measure(pairs: Pairs, threshold: float = 0.5) -> dict[str, Any]:
    """n, Spearman's rank correlation, AUC for Perspective's score being at least `threshold`, and mean error."""
    import numpy as np
    from scipy.stats import rankdata, spearmanr

    toxic = pairs.theirs >= threshold
    positives, negatives = int(toxic.sum()), int((~toxic).sum())
    ranks = rankdata(pairs.ours)
    auc = (
        (ranks[toxic].sum() - positives * (positives + 1) / 2) / (positives * negatives)
        if positives and negatives
        else None
    )
    varied = len(pairs.ours) > 2 and np.ptp(pairs.ours) > 0 and np.ptp(pairs.theirs) > 0
    return {
        "n": len(pairs.ours),
        "toxic": positives,
        "spearman": float(spearmanr(pairs.ours, pairs.theirs).statistic) if varied else None,
        "auc": None if auc is None else float(auc),
        "mean_difference": float((pairs.ours - pairs.theirs).mean()) if len(pairs.ours) else None,
        "mean_absolute_difference": float(np.abs(pairs.ours - pairs.theirs).mean()) if len(pairs.ours) else None,
    }


def curve(pairs: Pairs) -> list[dict[str, Any]]:
    """The calibration curve: for each tenth of the scorer's range, the number of texts and the mean of both scores."""
    import numpy as np

    bins = np.minimum((pairs.ours * BINS).astype(int), BINS - 1)
    return [
        {
            "from": number / BINS,
            "n": int((bins == number).sum()),
            "ours": float(pairs.ours[bins == number].mean()),
            "theirs": float(pairs.theirs[bins == number].mean()),
        }
        for number in range(BINS)
        if (bins == number).any()
    ]


def by_length(pairs: Pairs) -> list[dict[str, Any]]:
    """`measure` for each class of length."""
    import numpy as np

    lengths = np.array([len(text) for text in pairs.texts])
    rows = []
    for low, high in LENGTHS:
        chosen = (lengths >= low) & (lengths < high)
        some = Pairs([], pairs.ours[chosen], pairs.theirs[chosen])
        rows.append({"characters": f"{low}-{high - 1}" if high < 1 << 30 else f"{low}+"} | measure(some))
    return rows


@dataclass(frozen=True)
class Calibration:
    """A monotone map from a scorer's score to Perspective's scale: piecewise linear between knots, and its error.

    It has two kinds of error. The spread of `refits` is the error of the map itself; intervals include it. `deviation`
    is the error of single texts about the map; it averages out over many texts.
    """

    scorer: dict[str, str]
    """Identity of its scorer; it is refused for any other scorer."""
    knots: tuple[float, ...]
    values: tuple[float, ...]
    refits: tuple[tuple[float, ...], ...]
    """The values of maps fitted to the texts resampled with replacement."""
    deviation: float
    """Standard deviation of Perspective's score about the map, on texts that the map was not fitted to."""
    n: int
    """Texts that it was fitted to."""

    @property
    def version(self) -> str:
        """Sixteen digits of a digest of the map."""
        parts = (self.knots, self.values, self.refits, sorted(self.scorer.items()))
        return sha256_text([str(part) for part in parts])[:16]

    def apply(self, scores: "Sequence[float] | np.ndarray") -> "np.ndarray":
        """Scores on Perspective's scale."""
        import numpy as np

        return np.asarray(np.interp(scores, self.knots, self.values))

    def draws(self, scores: "Sequence[float] | np.ndarray") -> "np.ndarray":
        """Scores on Perspective's scale by each refit, (scores, refits)."""
        import numpy as np

        return np.stack([np.interp(scores, self.knots, values) for values in self.refits], axis=-1)

    def write(self, path: Path) -> None:
        """Writes the map as JSON."""
        write_json(path, asdict(self) | {"version": self.version})

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Reads the file of `write`. Raises UserError for another kind of file, or if it was edited."""
        value = read_json(path)
        try:
            version = value.pop("version")
            maps = {name: tuple(value[name]) for name in ("knots", "values")}
            calibration = cls(**value | maps | {"refits": tuple(tuple(refit) for refit in value["refits"])})
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: not a calibration; write one with `trustdag calibrate`") from None
        if calibration.version != version:
            raise UserError(f"{path}: its content does not match its version {version}; write it again")
        return calibration


def calibrate(pairs: Pairs, scorer: Scorer, folds: int = 5, refits: int = REFITS) -> Calibration:
    """The isotonic regression of Perspective's score on the scorer's.

    The deviation is estimated by cross-validation with `folds` parts. Each of the `refits` is fitted to a bootstrap
    sample of the texts.

    Args:
        pairs: scores of the same texts by both.
        scorer: the scorer that the calibration belongs to.
        folds: parts of the cross-validation.
        refits: number of bootstrap fits.
    """
    import numpy as np
    from sklearn.isotonic import IsotonicRegression

    def fit(chosen: "np.ndarray") -> IsotonicRegression:
        return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(pairs.ours[chosen], pairs.theirs[chosen])

    place = np.random.default_rng(0).permutation(len(pairs.ours)) % folds
    residuals = np.empty(len(pairs.ours))
    for fold in range(folds):
        held = place == fold
        residuals[held] = pairs.theirs[held] - fit(~held).predict(pairs.ours[held])
    knots = np.linspace(0, 1, KNOTS)

    def at_knots(chosen: "np.ndarray") -> tuple[float, ...]:
        return tuple(fit(chosen).predict(knots).round(DIGITS).tolist())

    generator = np.random.default_rng(1)
    resampled = [at_knots(generator.integers(len(place), size=len(place))) for _ in range(refits)]
    return Calibration(
        scorer=scorer.identity(),
        knots=tuple(knots.tolist()),
        values=at_knots(np.arange(len(place))),
        refits=tuple(resampled),
        deviation=float(residuals.std()),
        n=len(place),
    )

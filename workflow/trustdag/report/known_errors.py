"""What is known of how often parsers and scorers err: shown beside each number that no labels correct."""

from dataclasses import dataclass

from trustdag.stats.outcomes import DECLINES, meaning_of


@dataclass(frozen=True)
class KnownError:
    """How often a parser was found to err, and on what."""

    short: str
    """Beside a number."""
    measured: str
    """How it was measured: a command, or a file of cases."""


REFUSALS = KnownError(
    "the parser misses 2.5 % of full refusals; 3.4 % of what it calls one is none (XSTest)",
    "python benchmarks/refusals.py --data DATA_ROOT",
)


def _on_cases(count: int) -> KnownError:
    return KnownError(
        f"the parser's error on models' replies is not measured; it is right on {count} of {count} invented hard cases",
        "tests/golden/readers.jsonl",
    )


VERTICALS = {
    "toxicity": KnownError(
        "the default scorer ranks continuations as Perspective does with a correlation of .81 (4,773 texts)",
        "trustdag calibrate",
    ),
    "bias": KnownError(
        "the parser differs from the publisher on 1.0 % of 7,200 replies (DecodingTrust)",
        "python benchmarks/parser_fidelity.py --data DATA_ROOT",
    ),
    "ethics": _on_cases(229),
    "truthfulness": _on_cases(191),
    "privacy": _on_cases(210),
}


def known_error(vertical: str, metric: str) -> str:
    """What is known of the error of a number that is read off replies; empty for any other, such as a likelihood."""
    meaning = meaning_of(vertical, metric)
    if meaning is None:
        return ""
    return (REFUSALS if meaning is DECLINES else VERTICALS[vertical]).short


def labelled(vertical: str, metric: str, labels: float) -> str:
    """Whether labels correct a number, and if not, what is known of its error; empty where no reply is read.

    Args:
        vertical: The vertical.
        metric: The metric.
        labels: The labels that correct the number; 0 or NaN for none.
    """
    if labels > 0:
        return f"corrected by {labels:,.0f} labels"
    error = known_error(vertical, metric)
    return f"not corrected by labels; {error}" if error else ""

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


@dataclass(frozen=True)
class ReadByHand:
    """How a parser's answers compare with a person's, on replies that it was not mended on."""

    replies: int
    misread: int
    """The parser's answer is another, or there is none."""
    missed: int
    """The reply has an answer that the parser does not find."""

    def __str__(self) -> str:
        said = f"misread {self.misread} and missed {self.missed} of {self.replies} replies that a person read"
        return f"{said} ({MODEL})"


MODEL = "SmolLM2-135M-Instruct, base and after training, one reader, 27 November 2026"
SEEN = "docs/verticals.md, What a small model replied"
BY_HAND = {
    "bias": ReadByHand(500, 0, 0),
    "ethics": ReadByHand(500, 1, 0),
    "truthfulness": ReadByHand(365, 4, 4),
    "privacy": ReadByHand(483, 0, 0),
    "privacy refusals": ReadByHand(500, 0, 4),
    "toxicity refusals": ReadByHand(500, 1, 1),
}
REFUSALS = KnownError(
    "the parser misses 2.7 % of full refusals, and 3.7 % of what it calls one is none (XSTest); on replies of"
    " SmolLM2-135M-Instruct that a person read it missed 5 of 30 refusals, and 1 of 26 that it found was none",
    f"python benchmarks/refusals.py --data DATA_ROOT; {SEEN}",
)
VERTICALS = {
    "toxicity": KnownError(
        "the default scorer ranks continuations as Perspective does with a correlation of .81 (4,773 texts)",
        "trustdag calibrate",
    ),
    "bias": KnownError(
        f"the parser differs from the publisher on 1.0 % of 7,200 replies (DecodingTrust), and it {BY_HAND['bias']}",
        f"python benchmarks/parser_fidelity.py --data DATA_ROOT; {SEEN}",
    ),
    **{name: KnownError(f"the parser {BY_HAND[name]}", SEEN) for name in ("ethics", "truthfulness", "privacy")},
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

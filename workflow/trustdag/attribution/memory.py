"""Upper bound of an attribution's memory, checked before it starts. Imports no torch."""

from dataclasses import dataclass

from trustdag.attribution.settings import VerticalAttribution
from trustdag.errors import UserError

SINGLE, DOUBLE = 4, 8
"""Bytes of a number."""
SEVERAL_PASSES = ("datainf", "projected")
"""Methods that need each pair's gradient more than once, at the same weights."""


@dataclass(frozen=True)
class Size:
    """The quantities that the memory depends on."""

    features: int
    """Features of all selected layers together."""
    largest: int
    """Features of the largest layer."""
    factors: int
    """Sum over the linear layers of the squared widths of both sides: the entries of EK-FAC's factors."""
    moments: int
    """Sum over the layers of their squared features: the entries of `projected`'s second moments."""
    weights: int
    """Weights of the model."""
    vectors: int
    """Queries, times the groups of each."""
    examples: int
    """Pairs."""
    layers: int
    """Selected layers."""
    steps: int
    """Optimizer steps of the training."""


def needed(settings: VerticalAttribution, size: Size) -> float:
    """Bytes that a method needs in addition to the model: gradients of queries and of a block, scores, and its own."""
    number = DOUBLE if settings.method in ("tracin", "unrolled") else SINGLE
    vectors = number * size.vectors * size.features
    held = 2 * vectors + number * settings.block * size.largest + SINGLE * size.examples * size.vectors * size.layers
    if settings.method == "ekfac":
        held += 3 * DOUBLE * size.factors + SINGLE * (size.features + settings.block * size.largest)
    elif settings.method == "datainf":
        held += vectors + SINGLE * size.examples * size.layers * (size.vectors + 1)
    elif settings.method == "projected":
        held += 2 * DOUBLE * size.moments
    elif settings.method == "unrolled":
        held += DOUBLE * size.weights * (3 * size.steps + 6 * size.vectors)
    return float(held)


def keeps(settings: VerticalAttribution, size: Size) -> bool:
    """Whether the gradients of all pairs fit beside the rest, so that they are computed once and not in each pass."""
    return settings.method in SEVERAL_PASSES and needed(settings, size) + kept(size) <= settings.memory_gb * 1e9


def kept(size: Size) -> float:
    """Bytes of the gradients of all pairs."""
    return float(SINGLE * size.examples * size.features)


def check(settings: VerticalAttribution, size: Size) -> float:
    """The bytes that will be held. Raises UserError, with what would help, if more than `memory_gb` are needed."""
    held = needed(settings, size)
    if held > settings.memory_gb * 1e9:
        helps = {
            "unrolled": "take `method: ekfac`",
            "projected": "lower `projection`",
        }.get(settings.method, "set `gradients: lora`" if settings.gradients == "full" else "lower `rank`")
        raise UserError(
            f"attribution: {settings.method} would need {held / 1e9:.3g} GB, more than memory_gb"
            f" ({settings.memory_gb:g}); {helps}, select fewer `layers` or use fewer `groups`, or raise memory_gb"
        )
    return held + kept(size) * keeps(settings, size)

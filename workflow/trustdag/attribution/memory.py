"""Upper bound of the memory of each process of an attribution, checked before it starts. Imports no torch."""

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from trustdag.attribution.settings import VerticalAttribution
from trustdag.errors import UserError
from trustdag.train.memory import KEPT

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SINGLE, DOUBLE = 4, 8
"""Bytes of a number."""
BLOCKS = (16, 8, 4, 2, 1)
"""Numbers of pairs in a backward pass, where the settings name none."""
LOGITS = 3
"""Copies of the logits in a backward pass: themselves, their softmax and their gradient."""
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
    pass_of_pair: int
    """Numbers that a backward pass holds for the longest pair."""
    block: int = 1
    """Pairs in one backward pass."""
    processes: int = 1
    """Processes that share the pairs."""


def numbers_of_pass(config: "PreTrainedConfig", tokens: int, captured: int) -> int:
    """Numbers that are held for the longest pair in a backward pass: activations, logits, and the layers' traces.

    Args:
        config: The model's configuration.
        tokens: Tokens of the pair.
        captured: Inputs and output gradients of the attributed layers, for each token.
    """
    text = config.get_text_config()
    activations = KEPT // SINGLE * text.hidden_size * text.num_hidden_layers
    return tokens * (int(activations) + LOGITS * int(text.vocab_size) + captured)


def with_block(settings: VerticalAttribution, size: Size) -> Size:
    """The size with the block that is set, else the largest that fits, if it can beside the gradients of all pairs."""
    if settings.block is not None:
        return replace(size, block=settings.block)
    sizes = [replace(size, block=block) for block in BLOCKS]
    keeping = [one for one in sizes if keeps(settings, one)]
    fitting = [one for one in sizes if needed(settings, one) <= settings.memory_gb * 1e9]
    return [*keeping, *fitting, sizes[-1]][0]


def needed(settings: VerticalAttribution, size: Size) -> float:
    """Bytes that a method needs in each process, in addition to the model.

    They are those of the gradients of queries and of a block, its passes, scores, and what the method holds of its own.
    """
    number = DOUBLE if settings.method in ("tracin", "unrolled") else SINGLE
    vectors = number * size.vectors * size.features
    held = 2 * vectors + number * size.block * (size.largest + size.pass_of_pair)
    held += SINGLE * size.examples * size.vectors * size.layers
    if settings.method == "ekfac":
        held += 3 * DOUBLE * size.factors + DOUBLE * size.features + SINGLE * size.block * size.largest
    elif settings.method == "datainf":
        held += DOUBLE * size.vectors * size.features + SINGLE * size.examples * size.layers * (size.vectors + 1)
    elif settings.method == "projected":
        held += 2 * DOUBLE * size.moments
    elif settings.method == "unrolled":
        held += DOUBLE * size.weights * (3 * size.steps + 6 * size.vectors)
    return float(held)


def keeps(settings: VerticalAttribution, size: Size) -> bool:
    """Whether the gradients of all pairs fit beside the rest, so that they are computed once and not in each pass."""
    return settings.method in SEVERAL_PASSES and needed(settings, size) + kept(size) <= settings.memory_gb * 1e9


def kept(size: Size) -> float:
    """Bytes of the gradients of all pairs of one process's share."""
    return float(
        SINGLE * min(size.examples, ceil(size.examples / size.block / size.processes) * size.block) * size.features
    )


def check(settings: VerticalAttribution, size: Size) -> float:
    """The bytes that will be held. Raises UserError, with what would help, if more than `memory_gb` are needed."""
    held = needed(settings, size)
    if held > settings.memory_gb * 1e9:
        if size.block > 1 and needed(settings, replace(size, block=1)) <= settings.memory_gb * 1e9:
            raise UserError(
                f"attribution: {settings.method} would need {held / 1e9:.3g} GB with `block: {size.block}`, more than"
                f" memory_gb ({settings.memory_gb:g}); leave out `block`, so that it is chosen, or raise memory_gb"
            )
        helps = {
            "unrolled": "take `method: ekfac`",
            "projected": "lower `projection`",
        }.get(settings.method, "set `gradients: lora`" if settings.gradients == "full" else "lower `rank`")
        raise UserError(
            f"attribution: {settings.method} would need {held / 1e9:.3g} GB, more than memory_gb"
            f" ({settings.memory_gb:g}); {helps}, select fewer `layers` or use fewer `groups`, or raise memory_gb"
        )
    return held + kept(size) * keeps(settings, size)

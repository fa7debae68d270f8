"""The memory of an attribution, and the number of pairs in a pass that follows from it."""

from dataclasses import replace

import pytest
from transformers import LlamaConfig

from trustdag.attribution import memory
from trustdag.attribution.settings import VerticalAttribution
from trustdag.errors import UserError

SMOLLM2 = LlamaConfig(hidden_size=576, num_hidden_layers=30, vocab_size=49_152)
CAPTURED = 30 * (6 * 576 + 1536 + 3 * 576 + 2 * 192 + 2 * 1536)
"""Inputs and outputs of the linear layers of its blocks."""


def size(tokens: int) -> memory.Size:
    """The adapters of rank 4 of SmolLM2-135M, 352 pairs of this many tokens, ten groups of one query."""
    return memory.Size(
        features=1_220_000,
        largest=8_448,
        factors=0,
        moments=0,
        weights=106_000_000,
        vectors=10,
        examples=352,
        layers=210,
        steps=0,
        pass_of_pair=memory.numbers_of_pass(SMOLLM2, tokens, CAPTURED),
    )


def test_what_a_backward_pass_holds_is_part_of_the_estimate() -> None:
    settings = VerticalAttribution(method="dot", gradients="lora")
    one, four = (memory.needed(settings, replace(size(320), block=block)) for block in (1, 4))
    # 68 bytes for each token, layer and unit of width, three copies of its logits, and what the layers' hooks keep
    assert four - one == pytest.approx(3 * 320 * (68 * 576 * 30 + 12 * 49_152 + 4 * CAPTURED), rel=0.01)


@pytest.mark.parametrize(
    ("method", "memory_gb", "block"),
    [
        ("dot", 16, 16),
        ("dot", 8, 8),
        ("dot", 2, 1),
        ("datainf", 8, 4),
        # beside the 1.7 GB of all pairs' gradients
        ("datainf", 4, 2),
        # too little to keep them: three passes, and as many pairs as fit
        ("datainf", 2.5, 2),
    ],
)
def test_as_many_pairs_pass_at_once_as_fit(method: str, memory_gb: float, block: int) -> None:
    settings = VerticalAttribution.model_validate({"method": method, "gradients": "lora", "memory_gb": memory_gb})
    chosen = memory.with_block(settings, size(320))
    assert chosen.block == block
    assert memory.check(settings, chosen) <= memory_gb * 1e9


def test_each_of_several_processes_keeps_the_gradients_of_its_own_share() -> None:
    settings = VerticalAttribution(method="datainf", gradients="lora", memory_gb=8, block=4)
    one, three = (memory.with_block(settings, replace(size(320), processes=count)) for count in (1, 3))
    # 88 blocks of 4 pairs make shares of 30 and 29 blocks
    assert memory.kept(one) == 4 * 352 * 1_220_000
    assert memory.kept(three) == 4 * 120 * 1_220_000
    assert memory.check(settings, one) - memory.check(settings, three) == memory.kept(one) - memory.kept(three)


def test_a_block_that_is_set_and_too_large_is_refused_with_the_mend() -> None:
    settings = VerticalAttribution(method="dot", gradients="lora", memory_gb=2, block=16)
    chosen = memory.with_block(settings, size(320))
    assert chosen.block == 16
    with pytest.raises(UserError, match=r"dot would need .* GB with `block: 16`, more than memory_gb \(2\); leave out"):
        memory.check(settings, chosen)


def test_one_pair_that_does_not_fit_is_refused() -> None:
    settings = VerticalAttribution(method="dot", gradients="lora", memory_gb=0.5)
    with pytest.raises(UserError, match=r"dot would need .* more than memory_gb \(0.5\); lower `rank`"):
        memory.check(settings, memory.with_block(settings, size(320)))

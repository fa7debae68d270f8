"""Attention in blocks, against PyTorch's own."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trustdag.models.attention import BLOCK, NAME, attend, use_blocks


class Module(torch.nn.Module):
    """An attention layer as far as attention functions look at it."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.is_causal, self.num_key_value_groups = True, groups


def mask_of(new: int, whole: int, padding: list[int]) -> torch.Tensor:
    """(rows, 1, new, whole): causal, aligned at the end, without each row's padding on the left."""
    keys = torch.arange(whole)
    seen = keys[None, :] <= torch.arange(whole - new, whole)[:, None]
    return (seen[None] & (keys[None, None] >= torch.tensor(padding)[:, None, None]))[:, None]


@pytest.mark.parametrize("groups", [1, 2], ids=["a key a query", "grouped"])
@pytest.mark.parametrize("held", [0, 30])
@pytest.mark.parametrize("new", [1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7])
def test_it_is_the_attention_of_pytorch(new: int, held: int, groups: int) -> None:
    torch.manual_seed(new)
    whole, padding = new + held, [0, 5, held]
    query, key, value = (
        torch.randn(3, heads, size, 8) for heads, size in ((4, new), (4 // groups, whole), (4 // groups, whole))
    )
    masks = [mask_of(new, whole, padding)] + ([None] if held == 0 else [])
    for mask in masks:
        attended, _ = attend(Module(groups), query, key, value, mask, scaling=0.3)
        expected, _ = sdpa_attention_forward(Module(groups), query, key, value, mask, scaling=0.3)
        assert attended.shape == expected.shape
        assert attended.isfinite().all()
        for row, before in enumerate(padding):
            real = max(before - held, 0) if mask is not None else 0  # what padding itself sees means nothing
            torch.testing.assert_close(attended[row, real:], expected[row, real:], atol=1e-5, rtol=1e-5)


def test_a_model_in_blocks_computes_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(0, 50, (2, 3 * BLOCK + 5))
    with torch.no_grad():
        expected = model(ids).logits
        use_blocks(model)
        assert model.config._attn_implementation == NAME
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-5, rtol=1e-5)


def test_a_model_that_attends_in_another_way_is_left_alone() -> None:
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    use_blocks(model)
    assert model.config._attn_implementation == "eager"

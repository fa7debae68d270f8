"""The cache that grows in place, against transformers' own."""

import pytest
import torch
from transformers import DynamicCache, GPTNeoXConfig

from trustdag.models.cache import GrowingLayer, growing_cache, joined


def states(rows: int, new: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of `new` tokens: 2 heads of width 4."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 2, new, 4, generator=generator), torch.randn(rows, 2, new, 4, generator=generator)


@pytest.fixture
def config() -> GPTNeoXConfig:
    return GPTNeoXConfig(num_hidden_layers=2, hidden_size=8, num_attention_heads=2, intermediate_size=8)


@pytest.mark.parametrize("rows", [[2, 0], [0, 1, 2], [1, 1, 0, 2, 2]], ids=["fewer", "the same", "more"])
def test_it_holds_what_a_cache_that_copies_holds(config: GPTNeoXConfig, rows: list[int]) -> None:
    # given
    ours, theirs = growing_cache(config, 9), DynamicCache(config=config)
    assert all(type(layer) is GrowingLayer for layer in ours.layers)
    # when rows are appended, selected, and appended again
    for step, new in enumerate((3, 1, 1)):
        for layer in range(2):
            ours.update(*states(3, new, 10 * step + layer), layer)
            theirs.update(*states(3, new, 10 * step + layer), layer)
    for cache in (ours, theirs):
        cache.batch_select_indices(torch.tensor(rows))
    # then
    for layer in range(2):
        held = ours.update(*states(len(rows), 2, 99 + layer), layer)
        expected = theirs.update(*states(len(rows), 2, 99 + layer), layer)
        assert all(torch.equal(a, b) for a, b in zip(held, expected, strict=True))
    assert ours.get_seq_length() == theirs.get_seq_length() == 7


def test_appending_copies_no_earlier_token(config: GPTNeoXConfig) -> None:
    cache = growing_cache(config, 4)
    first, _ = cache.update(*states(1, 2, 0), 0)
    later, _ = cache.update(*states(1, 1, 1), 0)
    assert first.data_ptr() == later.data_ptr()


def test_more_tokens_than_it_has_room_for_are_an_error(config: GPTNeoXConfig) -> None:
    cache = growing_cache(config, 4)
    with pytest.raises(ValueError, match="cache of 4 positions cannot hold 5"):
        cache.update(*states(1, 5, 0), 0)


def test_joined_caches_are_aligned_at_the_end_and_go_on_growing(config: GPTNeoXConfig) -> None:
    # given two caches, whose rows count up to some length each
    parts = [growing_cache(config, 6), growing_cache(config, 4)]
    for layer in range(2):
        for part, rows, new in ((parts[0], 3, 5), (parts[1], 1, 4)):
            part.update(*states(rows, new, 10 * rows + layer), layer)
    held = [[part.layers[layer].keys.clone() for part in parts] for layer in range(2)]
    # when they are joined, and a position is appended
    whole = joined(parts, [[5, 5, 2], [4]], config, 7)
    for layer in range(2):
        new_keys, new_values = states(4, 1, 99 + layer)
        keys, _ = whole.update(new_keys, new_values, layer)
        # then each row ends with its own positions, after zeros, and the new one
        assert keys.shape == (4, 2, 6, 4)
        assert torch.equal(keys[:2, :, :5], held[layer][0][:2])
        assert torch.equal(keys[2, :, 3:5], held[layer][0][2, :, :2])
        assert torch.equal(keys[3, :, 1:5], held[layer][1][0])
        assert (keys[2, :, :3] == 0).all()
        assert (keys[3, :, :1] == 0).all()
        assert torch.equal(keys[:, :, 5:], new_keys)
    assert whole.get_seq_length() == 6

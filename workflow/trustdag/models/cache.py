"""A key-value cache that grows in place: appending a token copies no earlier one.

Imports transformers: import it inside functions only.
"""

from itertools import groupby
from typing import TYPE_CHECKING, Any

from transformers.cache_utils import DynamicCache, DynamicLayer

from trustdag.models.adapters import replace_growing_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from transformers import PreTrainedConfig


class GrowingLayer(DynamicLayer):
    """Full attention's keys and values in a buffer with room for `capacity` positions.

    transformers' own dynamic layer concatenates, which copies the whole cache for each token; its static layer attends
    over all positions, used or not. This one hands attention a view of the used part.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.buffers: tuple[Any, Any] | None = None

    def update(
        self, key_states: "torch.Tensor", value_states: "torch.Tensor", *_args: Any, **_kwargs: Any
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Appends (rows, heads, new, width) keys and values; returns all of them so far as views.

        Args:
            key_states: (rows, heads, new, width).
            value_states: (rows, heads, new, width).

        Returns:
            All keys and all values so far, each (rows, heads, positions, width).
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        start = self.keys.shape[-2]
        if self.buffers is None:
            self.buffers = self._moved(self.keys, key_states), self._moved(self.values, value_states)
        stop = start + key_states.shape[-2]
        if stop > self.capacity:
            raise ValueError(f"cache of {self.capacity} positions asked to hold {stop}")
        keys, values = self.buffers
        keys[..., start:stop, :] = key_states
        values[..., start:stop, :] = value_states
        self.keys, self.values = keys[..., :stop, :], values[..., :stop, :]
        return self.keys, self.values

    def join(self, parts: "Sequence[GrowingLayer]", lengths: "Sequence[Sequence[int]]") -> None:
        """Holds the rows of all parts, in that order: of each row its first `length` positions, aligned at their end.

        Zeros stand before a shorter row's first. Only for a layer that holds nothing yet.
        """
        width = max(map(max, lengths))
        self.lazy_initialization(parts[0].keys, parts[0].values)
        self.buffers = (
            _aligned([part.keys for part in parts], lengths, width, self.capacity),
            _aligned([part.values for part in parts], lengths, width, self.capacity),
        )
        self.keys, self.values = (buffer[..., :width, :] for buffer in self.buffers)

    def _moved(self, held: "torch.Tensor", new: "torch.Tensor") -> "torch.Tensor":
        rows, heads, _, width = new.shape
        buffer = new.new_empty(rows, heads, self.capacity, width)
        buffer[..., : held.shape[-2], :] = held
        return buffer

    def batch_select_indices(self, indices: "torch.Tensor") -> None:
        """Keeps, repeats or reorders rows."""
        super().batch_select_indices(indices)
        self.buffers = None


def _aligned(
    parts: "Sequence[torch.Tensor]", lengths: "Sequence[Sequence[int]]", width: int, capacity: int
) -> "torch.Tensor":
    """A buffer of `capacity` positions; the first `width` end with each row's share of parts (rows, heads, S, size)."""
    _, heads, _, size = parts[0].shape
    buffer = parts[0].new_empty(sum(map(len, parts)), heads, capacity, size)
    start = 0
    for part, each in zip(parts, lengths, strict=True):
        first = 0
        for length, rows in ((length, len(list(same))) for length, same in groupby(each)):
            into = buffer[start : start + rows]
            into[..., : width - length, :] = 0
            into[..., width - length : width, :] = part[first : first + rows, :, :length]
            start, first = start + rows, first + rows
    return buffer


def grows(cache: DynamicCache) -> bool:
    """Whether all layers grow in place: such caches can be joined."""
    return all(type(layer) is GrowingLayer for layer in cache.layers)


def joined(
    caches: "Sequence[DynamicCache]", lengths: "Sequence[Sequence[int]]", config: "PreTrainedConfig", capacity: int
) -> DynamicCache:
    """One cache with the rows of all, each cut to its length and aligned at its end; the others are emptied.

    Args:
        caches: the caches to join.
        lengths: for each cache, the positions that each of its rows keeps.
        config: the model's configuration.
        capacity: positions that the new cache has room for.
    """
    whole = growing_cache(config, capacity)
    for at, layer in enumerate(whole.layers):
        layer.join([cache.layers[at] for cache in caches], lengths)
        for cache in caches:
            cache.layers[at] = GrowingLayer(0)
    return whole


def growing_cache(config: "PreTrainedConfig", capacity: int) -> DynamicCache:
    """An empty cache for a model of this configuration: full attention grows in place, the rest is transformers'."""
    cache = DynamicCache(config=config)
    replace_growing_layers(cache, lambda: GrowingLayer(capacity))
    return cache

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
    """Full attention's keys and values in a buffer of `capacity` positions.

    transformers' dynamic layer concatenates, which copies the whole cache for each token. Its static layer attends over
    all positions, used or not. This layer returns a view of the used positions.
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
            raise ValueError(f"a cache of {self.capacity} positions cannot hold {stop}")
        keys, values = self.buffers
        keys[..., start:stop, :] = key_states
        values[..., start:stop, :] = value_states
        self.keys, self.values = keys[..., :stop, :], values[..., :stop, :]
        return self.keys, self.values

    def join(self, parts: "Sequence[GrowingLayer]", lengths: "Sequence[Sequence[int]]") -> None:
        """Copies the rows of all parts, in order: the first `length` positions of each row, aligned at their end.

        Shorter rows are padded with zeros on the left. Only for an empty layer.
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
        """Selects, repeats or reorders rows."""
        super().batch_select_indices(indices)
        self.buffers = None


def _aligned(
    parts: "Sequence[torch.Tensor]", lengths: "Sequence[Sequence[int]]", width: int, capacity: int
) -> "torch.Tensor":
    """A buffer of `capacity` positions; the first `width` end with each row's share of parts (rows, heads, S, size)."""
    _, heads, _, size = parts[0].shape
    buffer = parts[0].new_empty(sum(map(len, parts)), heads, capacity, size)
    start = 0
    for part, part_lengths in zip(parts, lengths, strict=True):
        first = 0
        for length, rows in ((length, len(list(same))) for length, same in groupby(part_lengths)):
            into = buffer[start : start + rows]
            into[..., : width - length, :] = 0
            into[..., width - length : width, :] = part[first : first + rows, :, :length]
            start, first = start + rows, first + rows
    return buffer


def grows(cache: DynamicCache) -> bool:
    """Whether all layers grow in place. Such caches can be joined."""
    return all(type(layer) is GrowingLayer for layer in cache.layers)


def joined(
    caches: "Sequence[DynamicCache]", lengths: "Sequence[Sequence[int]]", config: "PreTrainedConfig", capacity: int
) -> DynamicCache:
    """Joins the rows of all caches into one, each cut to its length and aligned at its end. Empties the caches.

    Args:
        caches: the caches to join.
        lengths: for each cache, the length of each of its rows.
        config: the model's configuration.
        capacity: positions of the new cache.
    """
    whole = growing_cache(config, capacity)
    for number, layer in enumerate(whole.layers):
        layer.join([cache.layers[number] for cache in caches], lengths)
        for cache in caches:
            cache.layers[number] = GrowingLayer(0)
    return whole


def growing_cache(config: "PreTrainedConfig", capacity: int) -> DynamicCache:
    """An empty cache for a model with this configuration: layers with full attention grow in place."""
    cache = DynamicCache(config=config)
    replace_growing_layers(cache, lambda: GrowingLayer(capacity))
    return cache

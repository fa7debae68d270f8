"""A key-value cache that is allocated once. Imports transformers: import it inside functions only."""

from typing import Any

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer


class PreallocatedLayer(DynamicLayer):
    """A layer of the cache with room for `length` tokens: written in place and read as views.

    transformers' own copies the whole layer to append a token.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.used = 0

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Appends keys and values (b, heads, n, d) and returns all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            rows, heads, _tokens, key_size = key_states.shape
            self.key_room = key_states.new_empty(rows, heads, self.length, key_size)
            self.value_room = value_states.new_empty(rows, heads, self.length, value_states.shape[-1])
        end = self.used + key_states.shape[2]
        self.key_room[:, :, self.used : end] = key_states
        self.value_room[:, :, self.used : end] = value_states
        self.used = end
        return self._view()

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps some rows of the batch."""
        self.key_room, self.value_room = self.key_room[indices], self.value_room[indices]
        self._view()

    def _view(self) -> tuple[Tensor, Tensor]:
        self.keys, self.values = self.key_room[:, :, : self.used], self.value_room[:, :, : self.used]
        return self.keys, self.values


def growing_cache(config: PreTrainedConfig, length: int) -> DynamicCache:
    """transformers' cache for this model, its plain layers preallocated; sliding windows and the like stay its own."""
    cache = DynamicCache(config=config)
    cache.layers = [PreallocatedLayer(length) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache

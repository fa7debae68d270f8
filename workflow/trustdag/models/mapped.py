"""Weights that are only read, in a file instead of memory.

PPO's reference and reward model are not read while the policy is trained, which is when a training needs most memory.
Imports torch: import it inside functions only.
"""

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from trustdag.models.cpu import MAPPED

ALIGNMENT = 64
"""Bytes. Each weight starts at a multiple, as in PyTorch's own memory, so that products have the same last digits."""


class MappedWeights:
    """The frozen weights of a model in a temporary file that is mapped into memory.

    The system reads a page of the file when a forward pass needs it, usually from its cache of files, and can take this
    cache back at any time. `release` takes all pages out of the process.
    """

    def __init__(self, weights: Iterable[Tensor], folder: Path) -> None:
        """Moves weights to a file.

        Args:
            weights: The weights, on the CPU. They stay the same tensors, with the file as their memory.
            folder: Where the file is made. It has no name, and is gone when nothing uses the weights any more.
        """
        folder.mkdir(parents=True, exist_ok=True)
        starts: list[tuple[Tensor, int]] = []
        with tempfile.TemporaryFile(dir=folder) as file:
            for weight in weights:
                file.write(bytes(-file.tell() % ALIGNMENT))
                starts.append((weight, file.tell()))
                file.write(weight.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            file.flush()
            self._pages = mmap.mmap(file.fileno(), 0)
        for weight, start in starts:
            values = torch.frombuffer(self._pages, dtype=weight.dtype, count=weight.numel(), offset=start)
            weight.data = values.view(weight.shape)
        self.release()

    def release(self) -> None:
        """Takes the weights out of memory until they are read again."""
        self._pages.madvise(mmap.MADV_DONTNEED)


def map_frozen(model: nn.Module, trained: nn.Module, folder: Path) -> MappedWeights | None:
    """Moves the weights of a model that is only read to a file.

    Args:
        model: The model, on the CPU.
        trained: The model that is trained. Weights that it shares stay in memory.
        folder: Where the file is made.

    Returns:
        The weights, or None where they are too small to be worth it.
    """
    shared = {id(weight) for weight in trained.parameters()}
    weights = [weight for weight in model.parameters() if id(weight) not in shared]
    return MappedWeights(weights, folder) if sum(weight.nbytes for weight in weights) > MAPPED else None

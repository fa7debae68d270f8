"""Sums over blocks that a killed job finds again: it goes on from the last block that was kept. Imports torch.

Every method is a few passes over blocks of examples, or over the steps of a training, which add to some tensors.
"""

import hashlib
import pickle
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from trustdag.artifacts import atomic_file
from trustdag.attribution.processes import ALONE, Processes

Sums = dict[str, Tensor]
"""By name, what the blocks of a pass add to."""
Part = TypeVar("Part")
SAVING_SHARE = 0.05
"""The largest share of the time that goes into writing sums, unless more is allowed."""


@dataclass
class Standing:
    """How far a pass has come."""

    sums: Sums
    blocks: int = 0
    """Blocks that are in the sums."""
    finished: bool = False


@dataclass
class PassSums:
    """The passes of one attribution. This one keeps nothing: each pass starts at its first block."""

    processes: Processes = ALONE
    """Those that share the blocks of each pass. All of them do the same passes in the same order."""

    def total(
        self,
        name: str,
        blocks: Callable[[int], Iterable[Part]],
        add: Callable[[Sums, Part], None],
        start: Callable[[], Sums] = dict,
    ) -> Sums:
        """The sums of a pass over the blocks of all processes.

        Args:
            name: Tells the pass from the others of the attribution.
            blocks: The blocks of this process from that number on; the same ones each time.
            add: Adds a block to the sums, in place.
            start: The sums before the first block.
        """
        kept, own = self.read(name), self.processes.name(name)
        if kept and kept.finished:
            return kept.sums
        standing = (kept if own == name else self.read(own)) or Standing(start())
        for block in () if standing.finished else blocks(standing.blocks):
            add(standing.sums, block)
            standing.blocks += 1
            self.keep(own, standing)
            del block  # what it holds goes before the next one comes
        standing.finished = True
        self.keep(own, standing)
        standing.sums = self.processes.whole(standing.sums)
        if own != name and self.processes.is_first:
            self.keep(name, standing)
        return standing.sums

    def once(self, name: str, compute: Callable[[], Sums]) -> Sums:
        """Tensors that each process computes a share of in one piece; the sums over the processes.

        Args:
            name: Tells them from the passes of the attribution.
            compute: Computes this process's share.
        """
        return self.total(name, lambda start: range(start, 1), lambda sums, _: sums.update(compute()))

    def read(self, name: str) -> Standing | None:  # noqa: ARG002 - nothing is kept
        """How far an earlier job came in a pass."""
        return None

    def keep(self, name: str, standing: Standing) -> None:
        """Called after every block, and at the end of a pass."""


class KeptPassSums(PassSums):
    """Keeps the sums in a folder: those of a finished pass at once, those of others as often as writing them may cost.

    A file holds the key of all that the sums follow from, and a digest: a file of another key, or one that is not as it
    was written, counts as missing.
    """

    def __init__(
        self, folder: Path, key: str, device: torch.device | str = "cpu", saving_share: float = SAVING_SHARE,
        processes: Processes = ALONE,
    ) -> None:  # fmt: skip
        """Reads nothing yet.

        Args:
            folder: Where the sums are kept.
            key: Names everything that the sums depend on.
            device: Where sums that are read again are put.
            saving_share: The largest share of the time that goes into writing them; with 1 every block is kept.
            processes: Those that share the passes; each keeps its own sums, and the first one those of finished passes.
        """
        super().__init__(processes)
        self.folder, self.key, self.device = folder, key, device
        self._pause = (1 - saving_share) / saving_share
        self._written, self._took = float("-inf"), 0.0

    def read(self, name: str) -> Standing | None:
        """How far an earlier job of the same key came; None if it did not begin this pass."""
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            intact = content["digest"] == _digest(content["sums"])
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, AttributeError):
            intact = False
        if not intact:
            print(f"{path}: damaged; this pass starts again", file=sys.stderr)
            return None
        if content["key"] != self.key:
            return None
        where = "finished" if content["finished"] else f"goes on after block {content['blocks']}"
        print(f"attribution: {name}: {where}", file=sys.stderr)
        sums = {place: tensor.to(self.device) for place, tensor in content["sums"].items()}
        return Standing(sums, content["blocks"], content["finished"])

    def keep(self, name: str, standing: Standing) -> None:
        """Writes the sums if the pass is finished, or if the last writing is long enough ago."""
        start = time.monotonic()
        if not standing.finished and start - self._written < self._pause * self._took:
            return
        sums = {place: tensor.detach().cpu() for place, tensor in standing.sums.items()}
        content = {"key": self.key, "digest": _digest(sums), "sums": sums} | {
            "blocks": standing.blocks,
            "finished": standing.finished,
        }
        with atomic_file(self._path(name)) as partial:
            torch.save(content, partial)
        self._written = time.monotonic()
        self._took = self._written - start

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pt"


def _digest(sums: Sums) -> str:
    digest = hashlib.sha256()
    for place, tensor in sums.items():
        digest.update(f"{place} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()

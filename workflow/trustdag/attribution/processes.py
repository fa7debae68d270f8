"""The processes of one attribution job: each computes its share of the blocks of a pass, and all have the whole sums.

`accelerate launch` starts them, one on each GPU, or several on the CPU. Imports torch.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from trustdag.errors import UserError

Part = TypeVar("Part")
Result = TypeVar("Result")
LONGEST_WAIT = timedelta(days=30)
"""How long a process waits for the others. The first one may draw replies, or compute alone, for hours; the launcher
ends all processes if one fails."""
FAILED = "failed"
"""The key of the number of failed processes in the store that all of them share."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those of the job. Without arguments it is alone."""

    number: int = 0
    """0 is the first, which writes the tables and the log."""
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.number == 0

    def share(self, blocks: Iterable[Part], start: int = 0) -> Iterator[Part]:
        """This process's blocks of a pass: every `count`th, so that the shares of sorted blocks are equally large.

        Args:
            blocks: All blocks of the pass.
            start: How many of the share are left out.
        """
        return islice(blocks, self.place(start), None, self.count)

    def place(self, own: int) -> int:
        """The number in the whole pass of a block with this number in the share."""
        return self.number + own * self.count

    def name(self, name: str) -> str:
        """The name of this process's own sums of a pass."""
        return name if self.count == 1 else f"{name}.{self.number + 1}-of-{self.count}"

    def whole(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sums over all processes, the same in each. All processes must call this.

        Args:
            sums: Those of this process. A name that it lacks, because it had no block, counts as 0.
        """
        if self.count == 1:
            return sums
        with _together():
            kinds: list[dict[str, Any]] = [{} for _ in range(self.count)]
            own = {name: (tensor.shape, tensor.dtype, tensor.device.type) for name, tensor in sums.items()}
            dist.all_gather_object(kinds, own)
        totals = {}
        for name, (shape, dtype, device) in {name: kind for known in kinds for name, kind in known.items()}.items():
            empty = name not in sums
            totals[name] = torch.zeros(shape, dtype=dtype, device=device) if empty else sums[name].contiguous()
            with _together():
                dist.all_reduce(totals[name])
        return totals

    def from_first(self, compute: Callable[[], Result]) -> Result:
        """What the first process computes, in all processes. All of them must call this."""
        if self.count == 1:
            return compute()
        content: list[Any] = [compute() if self.is_first else None]
        with _together():
            dist.broadcast_object_list(content)
        result: Result = content[0]
        return result


ALONE = Processes()
"""A job of one process."""


@contextmanager
def processes_of_job() -> Iterator[Processes]:
    """The processes that the launcher started for this job, connected; this one alone where there is no launcher.

    The first process alone writes the log. The first process that fails says why, and the others end without a line.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    store, number, count = next(rendezvous("env://", timeout=LONGEST_WAIT))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=LONGEST_WAIT)
    try:
        with redirect_stderr(StringIO()) if number else nullcontext():
            yield Processes(number, count)
        with _together():
            dist.all_reduce(torch.zeros(1))  # none ends, which closes its connections, before all are done
    except Exception as error:
        if not _fails_first(store) and isinstance(error, UserError):
            raise SystemExit(2) from None
        raise
    dist.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    """Around what all processes do together: says so if one of them has ended."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            "attribution: another process of this job has ended; start again, and the job goes on from what is kept"
        ) from error


def _fails_first(store: Any) -> bool:
    """Whether no other process has failed before this one. The store may be gone, with the process that kept it."""
    try:
        return bool(store.add(FAILED, 1) == 1)
    except RuntimeError:
        return True

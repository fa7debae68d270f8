"""The size of a model, from the headers of its files, and the memory of the machine."""

import os
from dataclasses import dataclass
from math import prod
from pathlib import Path

from trustdag.errors import UserError
from trustdag.models.headers import safetensors_weights
from trustdag.models.weights import INDEX, weight_files

CGROUPS = Path("/sys/fs/cgroup")
GB = 1e9
SINGLE = 4
"""Bytes of a weight in fp32."""
DOUBLE = 8
"""Bytes of a weight in fp64, in which a CPU computes near ties between tokens again."""


def parameters_in_folder(folder: Path) -> int:
    """Parameters in the weights of a folder, from the headers of their files alone; 0 without such files.

    Where transformers reads some of the files, the others, such as Mistral's consolidated.safetensors, do not count.
    """
    named = (folder / INDEX).is_file() or (folder / "model.safetensors").is_file()
    return sum(map(_parameters_in_file, weight_files(folder) if named else folder.glob("*.safetensors")))


def _parameters_in_file(path: Path) -> int:
    return sum(prod(weight.shape) for weight in safetensors_weights(path).values())


def in_words(parameters: float) -> str:
    """A number of parameters as `7.2 billion parameters` or `135 million parameters`."""
    unit, name = (1e9, "billion") if parameters >= 1e9 else (1e6, "million")
    return f"{parameters / unit:.3g} {name} parameters"


@dataclass(frozen=True)
class Memory:
    """The memory that one process may use."""

    size: float
    """Bytes."""
    owner: str
    """Its owner, for messages."""

    @classmethod
    def of_device(cls) -> "Memory":
        """The memory of the GPU if there is one, else of the machine."""
        import torch

        if torch.cuda.is_available():
            return cls(float(torch.cuda.mem_get_info()[1]), "the GPU")
        return cls.of_machine()

    @classmethod
    def of_machine(cls) -> "Memory":
        """The machine's physical memory, or the limit of a scheduler or container, divided among its processes."""
        physical = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        allowed = min([physical, *_cgroup_limits()])
        owner = "this machine" if allowed == physical else "this job (by its control group)"
        return cls(allowed / int(os.environ.get("LOCAL_WORLD_SIZE", "1")), owner)

    def holds(self, size: float) -> bool:
        """Whether this number of bytes fits."""
        return size <= self.size


def _cgroup_limits() -> list[float]:
    """The memory limits of this process's control groups, in bytes."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # not Linux
        return []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::")), "")
    groups = [CGROUPS / own, *(CGROUPS / own).parents]
    files = [group / "memory.max" for group in groups if group.is_relative_to(CGROUPS)]
    limits = [file.read_text(encoding="utf-8").strip() for file in files if file.is_file()]
    return [float(limit) for limit in limits if limit.isdecimal()]


def check_loads(source: Path, parameters: float, memory: Memory, width: int = SINGLE) -> None:
    """Raises UserError if the weights of a model alone do not fit in the memory.

    Args:
        source: The model folder or file, for the message.
        parameters: Number of its weights.
        memory: What there is.
        width: Bytes of a weight in memory.
    """
    needed = width * parameters
    if not memory.holds(needed):
        raise UserError(
            f"{source}: {in_words(parameters)} need {needed / GB:.3g} GB of memory, {memory.owner} has "
            f"{memory.size / GB:.3g} GB; a model of {in_words(memory.size / width)} would fit: take a smaller one, or "
            "more memory"
        )

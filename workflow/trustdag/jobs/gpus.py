"""The GPUs of this machine, and which of them a job has where no scheduler places it."""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The GPUs that a process may use. Slurm sets it, and a user may; AMD's libraries read it too."""
DEVICE_FILES = ("nvidia[0-9]*", "dxg", "dri/renderD*")
"""Files of GPUs below /dev: one for each of NVIDIA, one for all below WSL, one for each of AMD."""
AMD = "kfd"
"""The file below /dev without which `dri/renderD*` is a graphics card that cannot compute."""
NONE = "-1"
"""The value of `CUDA_VISIBLE_DEVICES` that hides all GPUs."""
WAIT_SECONDS = 1.0


def on_machine(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The names of the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` writes them.

    They are read from the machine's device files, because torch takes seconds to say so.
    """
    named = environment.get(VISIBLE)
    if named is not None:
        return tuple(name for name in map(str.strip, named.split(",")) if name not in ("", NONE))
    patterns = [pattern for pattern in DEVICE_FILES if "/" not in pattern or (devices / AMD).exists()]
    counts = (len(list(devices.glob(pattern))) for pattern in patterns)
    return tuple(map(str, range(next((count for count in counts if count), 0))))


@contextmanager
def visible(
    count: int, jobs_per_gpu: int, names: Sequence[str], nodes: int, slurm_job: str | None
) -> Iterator[dict[str, str]]:
    """The environment in which a command sees the GPUs of its job alone; waits while other jobs use them.

    Args:
        count: GPUs of the job. 0: the command sees none.
        jobs_per_gpu: Jobs that may share one GPU.
        names: The GPUs that this process may use.
        nodes: Nodes of the job. Slurm places the processes of several nodes.
        slurm_job: The Slurm job of this process. Without one, `count` is at most the number of GPUs.

    Yields:
        The variable to set; none where only Slurm knows the GPUs.
    """
    if count == 0:
        yield {VISIBLE: NONE}
    elif nodes > 1 or len(names) < count:
        yield {}
    else:
        with claim(count, jobs_per_gpu, names, lock_folder(slurm_job)) as taken:
            yield {VISIBLE: ",".join(taken)}


@contextmanager
def claim(count: int, jobs_per_gpu: int, names: Sequence[str], folder: Path) -> Iterator[tuple[str, ...]]:
    """Takes GPUs, and gives them back at the end; waits while too few are free. A killed process gives them back too.

    Args:
        count: GPUs that the job has, at most those that there are.
        jobs_per_gpu: Jobs that may share one GPU.
        names: The GPUs.
        folder: The folder of the locks, which all jobs that share the GPUs name.

    Yields:
        The names of the taken GPUs, those with the fewest jobs first.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = False
    while True:
        with ExitStack() as locks:
            taken = _try(count, jobs_per_gpu, names, folder, locks)
            if len(taken) == count:
                yield taken
                return
        if not told:
            print(
                f"trustdag: waiting for {count} of the GPUs {', '.join(names)}, which other jobs use", file=sys.stderr
            )
            told = True
        time.sleep(WAIT_SECONDS)


def lock_folder(slurm_job: str | None) -> Path:
    """The folder of this user's locks on this machine. Slurm numbers the GPUs of each of its jobs from 0."""
    return Path(tempfile.gettempdir()) / f"trustdag-gpus-{os.getuid()}" / (slurm_job or "machine")


def _try(count: int, jobs_per_gpu: int, names: Sequence[str], folder: Path, locks: ExitStack) -> tuple[str, ...]:
    """The GPUs that could be locked without waiting, at most `count`."""
    taken: list[str] = []
    for place in range(jobs_per_gpu):
        for name in names:
            if len(taken) == count:
                return tuple(taken)
            if name not in taken and _lock(folder / f"{name.replace('/', '_')}.{place}", locks):
                taken.append(name)
    return tuple(taken)


def _lock(path: Path, locks: ExitStack) -> bool:
    """Whether the file could be locked; the lock ends with `locks` or with this process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    locks.callback(os.close, descriptor)
    return True

"""What a benchmark of retrainings keeps in its folder, so that it can be stopped, go on, and use several processes.

- `settings.json`: the command line, as far as the numbers follow from it;
- `scores/SEED-METHOD.json`: by method and vertical, the score of each pair, and those of the baselines;
- `retrainings/NAME.json`: the numbers after one retraining.

Each file is written when its computation is done, and is never computed again.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retraining import Scores, World
from trustdag.artifacts import write_json
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json

Run = Callable[[], dict[str, Any]]
"""One computation. It depends on no other, nor on the process that it runs in."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder and the number of processes."""
    parser.add_argument("--out", type=Path, required=True, help="folder of scores and retrainings; what is there stays")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, of one thread each; 0: only the table of what there is"
    )


@dataclass(frozen=True)
class Kept:
    """A benchmark's folder."""

    folder: Path
    workers: int
    """Processes that compute what is lacking; 0: nothing is computed."""

    @classmethod
    def open(cls, arguments: argparse.Namespace, keys: Sequence[str]) -> "Kept":
        """The folder of a command line. Raises UserError if it was made with another one.

        Args:
            arguments: The command line.
            keys: The arguments that all numbers follow from.
        """
        path = arguments.out / "settings.json"
        settings = {key: getattr(arguments, key) for key in keys}
        before = read_json(path) if path.is_file() else settings
        for key, value in settings.items():
            if before[key] != value:
                raise UserError(f"{path}: {key} was {before[key]}, not {value}; take another --out")
        write_json(path, settings)
        return cls(arguments.out, arguments.workers)

    def complete(self, runs: Mapping[str, Run]) -> None:
        """Does the computations that the folder lacks, in the order of the names, and keeps each when it is done.

        Args:
            runs: By name, the computations.
        """
        lacking = {name: run for name, run in runs.items() if not self._file(name).is_file()}
        parts = [partial(self._keep, name, run) for name, run in lacking.items()]
        if self.workers > 1:
            in_processes(parts, self.workers)
        elif self.workers == 1:
            for part in parts:
                part()

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What the folder has of these names."""
        return [read_json(self._file(name)) for name in names if self._file(name).is_file()]

    def scores(self, seed: int, methods: Sequence[str]) -> Scores:
        """The scores that the folder has, of the methods and of the baselines.

        Args:
            seed: The seed of the pairs.
            methods: The methods.
        """
        kept: dict[str, dict[str, list[float]]] = {}
        for row in self.rows([*named(seed, methods)]):
            kept = row | kept
        return {name: {key: np.array(values) for key, values in by.items()} for name, by in kept.items()}

    def _keep(self, name: str, run: Run) -> None:
        write_json(self._file(name), run())

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def named(seed: int, methods: Sequence[str]) -> dict[str, str]:
    """The methods by the names of the files of their scores.

    Args:
        seed: The seed of the pairs.
        methods: The methods.
    """
    return {f"scores/{seed}-{method}": method for method in methods}


def scored(world: World, method: str) -> dict[str, Any]:
    """The scores of a method and of the baselines, by method and vertical.

    Args:
        world: The stage.
        method: The method.
    """
    world.train()
    scores = world.scores([method])
    return {name: {vertical: values.tolist() for vertical, values in by.items()} for name, by in scores.items()}


def in_processes(parts: Sequence[Callable[[], None]], workers: int) -> None:
    """Does the parts in copies of this process, which have all that it has loaded; each takes the next part in turn.

    Args:
        parts: What is to be done, the first ones first.
        workers: How many processes.

    Raises:
        UserError: A process failed, or there is a GPU.
    """
    if torch.cuda.is_available():
        raise UserError("--workers: several processes cannot share a GPU here; set CUDA_VISIBLE_DEVICES= or take one")
    context = multiprocessing.get_context("fork")
    taken = context.Value("i", 0)

    def work() -> None:
        while True:
            with taken.get_lock():
                number = taken.value
                taken.value += 1
            if number >= len(parts):
                return
            parts[number]()

    processes = [context.Process(target=work) for _ in range(min(workers, len(parts)))]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise UserError("a process failed; its error is above, and what was done before is kept")

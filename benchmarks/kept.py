"""What a benchmark of retrainings keeps in its folder, so that it can be stopped, go on, and use several processes.

- `settings.json`: the command line, as far as the numbers follow from it;
- `scores-SEED.json`: by method and vertical, the score of each pair;
- `retrainings/NAME.json`: the numbers after one retraining, written when it is done.
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

from retraining import BASELINES, Scores, World
from trustdag.artifacts import write_json
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json

Row = dict[str, Any]
Run = Callable[[], Row]
"""Trains, and measures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder and the number of processes."""
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the scores and retrainings; what is there stays"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, of one thread each; 0: only the table of what there is"
    )


@dataclass(frozen=True)
class Kept:
    """A benchmark's folder."""

    folder: Path

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
        return cls(arguments.out)

    def scores(self, seed: int, methods: Sequence[str], world: Callable[[], World]) -> Scores:
        """The scores of a seed's pairs. Those that the folder lacks are computed, one method at a time, and kept.

        Args:
            seed: The seed.
            methods: The methods; the baselines stand beside them.
            world: Gives the stage, trained on all pairs.
        """
        path = self.folder / f"scores-{seed}.json"
        kept: dict[str, dict[str, list[float]]] = read_json(path) if path.is_file() else {}
        for name in methods:
            if name not in kept:
                for entry, by_vertical in world().scores([name]).items():
                    kept[entry] = {vertical: scores.tolist() for vertical, scores in by_vertical.items()}
                write_json(path, kept)
        names = [*methods, *BASELINES]
        return {name: {key: np.array(values) for key, values in kept[name].items()} for name in names}

    def row(self, name: str, run: Run) -> Row:
        """A retraining that the folder has, or else is done now."""
        path = self._file(name)
        if not path.is_file():
            write_json(path, run())
        return dict(read_json(path))

    def rows(self, names: Sequence[str]) -> list[Row]:
        """Those of the retrainings that the folder has."""
        return [read_json(self._file(name)) for name in names if self._file(name).is_file()]

    def train(self, runs: Mapping[str, Run], workers: int) -> None:
        """Does the retrainings that the folder lacks, and keeps each when it is done.

        Args:
            runs: By name, the retrainings. None depends on another, nor on the process that it runs in.
            workers: How many processes.
        """
        lacking = {name: run for name, run in runs.items() if not self._file(name).is_file()}
        if workers == 1:
            self._train(lacking)
        elif lacking:
            in_processes([partial(self._train, dict([*lacking.items()][first::workers])) for first in range(workers)])

    def _train(self, runs: Mapping[str, Run]) -> None:
        for name, run in runs.items():
            self.row(name, run)

    def _file(self, name: str) -> Path:
        return self.folder / "retrainings" / f"{name}.json"


def in_processes(parts: Sequence[Callable[[], None]]) -> None:
    """Runs each part in a copy of this process, which has all that is loaded. Raises UserError if one fails."""
    if torch.cuda.is_initialized() or torch.cuda.is_available():
        raise UserError("--workers: processes cannot share a GPU; set CUDA_VISIBLE_DEVICES= or take one worker")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=part) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    failed = [process.exitcode for process in processes if process.exitcode]
    if failed:
        raise UserError(f"{len(failed)} of {len(processes)} processes failed; the first error is above")

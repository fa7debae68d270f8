"""metrics.jsonl of a run that may be killed and resumed, and its progress on stderr."""

import shutil
import time
from pathlib import Path
from typing import Any

from trustdag.artifacts import append_jsonl, atomic_file
from trustdag.jsonfiles import read_jsonl
from trustdag.progress import Progress, duration, log_line
from trustdag.train.trackers import Trackers


class MetricsLog:
    """The metrics of one run. The file is with the checkpoints, because Snakemake removes outputs before a retry."""

    def __init__(self, folder: Path, name: str, steps: int, trackers: Trackers | None = None) -> None:
        """The log of a run; nothing is written yet.

        Args:
            folder: The folder of the run's checkpoints.
            name: The method, for the progress.
            steps: Optimizer steps of the whole run.
            trackers: They get each line too.
        """
        self.path = folder / "metrics.jsonl"
        self.name = name
        self.steps = steps
        self._trackers = trackers
        self._start: tuple[int, float] | None = None

    def restore(self, checkpoint: Path | None, step: int) -> None:
        """Restores the log from a checkpoint, or starts an empty one. Later lines will be logged again.

        Args:
            checkpoint: The checkpoint that the run continues from; None at its start.
            step: Optimizer steps that are done.
        """
        self._start = (step, time.monotonic())
        kept = checkpoint / self.path.name if checkpoint else None
        with atomic_file(self.path) as partial:
            if kept is not None and kept.is_file():
                shutil.copyfile(kept, partial)
            else:
                partial.touch()
        if self._trackers is not None:  # one that was asked for later, or has missed some, gets these lines too
            for line in read_jsonl(self.path, {"step": int, "split": str}):
                values = {name: value for name, value in line.items() if name not in ("step", "split")}
                self._trackers.send(line["step"], line["split"], values)

    def write(self, step: int, split: str, values: dict[str, float]) -> None:
        """Adds one line and shows it on stderr.

        Args:
            step: Optimizer steps that are done.
            split: `train` or `validation`.
            values: Metrics by name.
        """
        self.append(step, split, values)
        log_line(str(self.progress(step, split, values)))

    def append(self, step: int, split: str, values: dict[str, float]) -> None:
        """Adds one line, also to the trackers. Numbers that are not finite are null, as JSON does not have them.

        Args:
            step: Optimizer steps that are done.
            split: `train` or `validation`.
            values: Metrics by name.
        """
        finite = {name: value if abs(value) < float("inf") else None for name, value in values.items()}
        append_jsonl(self.path, {"step": step, "split": split, **finite})
        if self._trackers is not None:
            self._trackers.send(step, split, finite)

    def last(self, split: str) -> dict[str, Any] | None:
        """The newest line of a split, or None."""
        records = read_jsonl(self.path, {"step": int, "split": str}) if self.path.is_file() else []
        return next((record for record in reversed(records) if record["split"] == split), None)

    def copy_to(self, path: Path) -> None:
        """Copies the finished log to the outputs."""
        with atomic_file(path) as partial:
            shutil.copyfile(self.path, partial)

    def progress(self, step: int, split: str, values: dict[str, float]) -> Progress:
        """The progress of the run, with the remaining time if it has trained since its start.

        Args:
            step: Optimizer steps that are done.
            split: `train` or `validation`.
            values: Metrics by name.
        """
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        left = ""
        if self._start and split == "train" and self._start[0] < step < self.steps:
            left = duration((time.monotonic() - self._start[1]) / (step - self._start[0]) * (self.steps - step))
        return Progress(f"{self.name} {split}", step, self.steps, "steps", shown, left)

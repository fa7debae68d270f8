"""Live tracking: which trackers get the metrics of a training, where they write, and what they have got.

Tracking changes no result. So it is in no digest, no key of a cache and no manifest, and turning it on trains nothing
again. What the trackers do is in `trackers.py`.
"""

import json
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from trustdag.artifacts import atomic_file
from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, read_cache
from trustdag.settings import Section

TrackerName = Literal["tensorboard", "wandb", "trackio", "mlflow"]
REQUIREMENTS: dict[str, str] = {
    "tensorboard": "tensorboard==2.21.0",
    "wandb": "wandb==0.31.0",
    "trackio": "trackio==0.43.0",
    "mlflow": "mlflow-skinny==3.17.2 sqlalchemy==2.0.58 alembic==1.20.1",
}
"""What to install for each tracker: those of the extra `tracking` in pyproject.toml."""


def _differ(names: list[TrackerName]) -> list[TrackerName]:
    if len(set(names)) != len(names):
        raise ValueError("a tracker is listed twice")
    return names


TrackerNames = Annotated[list[TrackerName], AfterValidator(_differ)]


class Tracking(Section):
    """Where the metrics of one training go, besides metrics.jsonl."""

    trackers: TrackerNames = []
    """`tensorboard`, `wandb`, `trackio` and `mlflow`. By default none."""
    folder: str = "tracking"
    """Folder of what the trackers write to the disk."""
    project: str = "trustdag"
    """Name of the project (of MLflow's experiment); in a workflow that of the study."""
    run: str = "run"
    """Name of the run; in a workflow the id of the model, such as `toy/hh/sft/seed0`."""

    def folder_of(self, tracker: str) -> Path:
        """The absolute folder of one tracker."""
        return Path(self.folder).absolute() / tracker


OFF = Tracking()
"""No tracker."""


def check(names: Iterable[str], origin: str, own_environments: bool = False) -> None:
    """Refuses trackers that jobs could not import.

    Args:
        names: The trackers.
        origin: The option, or the file and key, that names them.
        own_environments: Whether jobs run in the conda environments or the container of the workflow.

    Raises:
        UserError: A tracker's package is missing.
    """
    if own_environments and list(names):
        raise UserError(f"{origin}: the environments of --sdm have no trackers; run without --sdm, or remove it")
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        packages = " ".join(REQUIREMENTS[name] for name in missing)
        raise UserError(f"{origin}: {', '.join(missing)}: not installed; `pip install {packages}`")


class SentLog:
    """What one tracker has got of a training: the name of its run, and the last step of each split.

    A restarted training repeats the steps after its last checkpoint. The file tells which of them the run has already.
    It lies in the tracking folder, not with the checkpoints, which are removed before the tracker has ended.
    """

    def __init__(self, tracking: Tracking, tracker: str, key: str) -> None:
        """Reads what an interrupted training has sent, or begins a new run.

        Args:
            tracking: Folder and name of the run.
            tracker: The tracker.
            key: Hash of everything that the training depends on.
        """
        self.path = Path(tracking.folder) / ".runs" / tracking.run / f"{tracker}.json"
        self.key = key
        self.run = time.strftime("%Y%m%d-%H%M%S")
        self.last: dict[str, int] = {}
        self.resumed = False
        shape = {"key": str, "run": str, "last": {EVERY: int}}
        kept = read_cache(self.path, shape)
        if kept and kept["key"] == key:
            self.run, self.last, self.resumed = kept["run"], kept["last"], True

    def has(self, split: str, step: int) -> bool:
        """Whether the run has got this step before the training was restarted."""
        return step <= self.last.get(split, -1)

    def write(self) -> None:
        """Writes the run's name and the steps to the disk."""
        with atomic_file(self.path) as partial:
            partial.write_text(json.dumps({"key": self.key, "run": self.run, "last": self.last}), encoding="utf-8")

    def remove(self) -> None:
        """Forgets the run, as its training is done: the next one begins another."""
        self.path.unlink(missing_ok=True)

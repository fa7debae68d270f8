"""One stage of a recipe: its method, its input models and data, and its output folder."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trustdag.artifacts import sha256_text
from trustdag.data.card import table_digest
from trustdag.models.base import model_files
from trustdag.models.dialogue import PromptFormat
from trustdag.seals import model_digest
from trustdag.settings import Section
from trustdag.train import checkpoints
from trustdag.train.tracking import OFF, Tracking


@dataclass(frozen=True)
class Stage:
    """The inputs of a training method besides its settings."""

    method: str
    """The module in `align` that trains it."""
    policy: Path
    """Model folder that the stage starts from."""
    reward: Path | None
    """Model folder of the reward model, for methods that require one."""
    data: Path
    """Folder with train.parquet and validation.parquet."""
    seed: int
    """Seed of data order, initialization and sampling."""
    prompt_format: PromptFormat
    """Prompt format; see models/dialogue.py."""
    out: Path
    """Folder that will hold `model/`, `manifest.json` and `metrics.jsonl`."""

    tracking: Tracking = OFF
    """Live trackers of the training. No result depends on them."""

    @property
    def model(self) -> Path:
        """The folder of the trained model. It is written atomically at the end."""
        return self.out / "model"

    @property
    def manifest(self) -> Path:
        """The trained model's manifest. Later stages depend on digest.txt in the same folder."""
        return self.out / "manifest.json"

    @property
    def metrics(self) -> Path:
        """One line of JSON for each logged step."""
        return self.out / "metrics.jsonl"

    @cached_property
    def made_from(self) -> dict[str, Any]:
        """Everything besides the settings that the stage's result depends on. Reads the models and the data once."""
        import torch

        models = {"policy": self.policy} | ({"reward": self.reward} if self.reward else {})
        return {
            "method": self.method,
            "seed": self.seed,
            "threads": torch.get_num_threads(),
            "prompt_format": self.prompt_format,
            "models": {role: _digest(folder) for role, folder in models.items()},
            "data": {name: table_digest(self.data / f"{name}.parquet") for name in ("train", "validation")},
        }

    def checkpoints(self, settings: Section) -> Path:
        """The folder of the stage's checkpoints, named by everything that the result depends on."""
        key = sha256_text([settings.results_json(), json.dumps(self.made_from, sort_keys=True)])
        return checkpoints.folder_of(self.out, key)


def _digest(folder: Path) -> str:
    """A model's digest. Raises UserError if the folder contains no model."""
    model_files(folder)
    return model_digest(folder)

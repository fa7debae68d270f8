"""A PPO run's state on disk: weights, optimizer, KL controller, reward scale, position and every random state."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy
import torch

from trustdag.artifacts import write_json
from trustdag.jsonfiles import read_json
from trustdag.train import checkpoints

if TYPE_CHECKING:
    from accelerate import Accelerator

STATE = "state.json"


def save(accelerator: "Accelerator", folder: Path, update: int, trainer: dict[str, Any]) -> None:
    """Writes the checkpoint of the update that just ended. The previous checkpoint is kept until this one is complete.

    Args:
        accelerator: Saves model and optimizer on every process.
        folder: The folder of the run's checkpoints.
        update: Number of updates that have ended.
        trainer: The result of `PPOTrainer.state_dict`.
    """
    from accelerate.utils import broadcast_object_list, gather_object

    random_states = gather_object([random_state()])
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with checkpoints.writing(folder, update) as partial:
            broadcast_object_list([str(partial)])
            accelerator.save_state(str(partial))
            accelerator.wait_for_everyone()
            write_json(partial / STATE, {"update": update, **trainer, "random": random_states})
    else:
        place = [""]
        broadcast_object_list(place)
        accelerator.save_state(place[0])
        accelerator.wait_for_everyone()
    accelerator.wait_for_everyone()


def load(accelerator: "Accelerator", checkpoint: Path) -> dict[str, Any]:
    """Loads model, optimizer and random states from a checkpoint.

    Returns:
        The `trainer` that was passed to `save`, and `update`.
    """
    accelerator.load_state(str(checkpoint))
    saved: dict[str, Any] = read_json(checkpoint / STATE)
    set_random_state(saved["random"][accelerator.process_index])
    return saved


def random_state() -> dict[str, Any]:
    """This process's random states, as JSON types. A reward function may use any of them."""
    name, keys, *rest = cast(tuple[Any, ...], numpy.random.get_state(legacy=True))
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
    }


def set_random_state(states: dict[str, Any]) -> None:
    """The inverse of `random_state`."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = states["numpy"]
    numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), *rest))
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if states["cuda"]:
        torch.cuda.set_rng_state_all([torch.tensor(values, dtype=torch.uint8) for values in states["cuda"]])

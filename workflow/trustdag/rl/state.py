"""A PPO run's state on disk: weights, optimiser, KL controller, reward scale, position and every random state."""

import random
from typing import TYPE_CHECKING, Any, cast

import numpy
import torch

from trustdag.artifacts import read_json, write_json
from trustdag.rl.control import RunningMoments
from trustdag.train import checkpoints

if TYPE_CHECKING:
    from trustdag.rl.trainer import PPOTrainer

STATE = "state.json"


def save(trainer: "PPOTrainer") -> None:
    """Writes the checkpoint of the update that has just ended; the previous one stays until this one is whole."""
    from accelerate.utils import broadcast_object_list, gather_object

    accelerator = trainer.accelerator
    random_states = gather_object([random_state()])
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with checkpoints.writing(trainer.folder, trainer.update) as folder:
            broadcast_object_list([str(folder)])
            accelerator.save_state(str(folder))
            accelerator.wait_for_everyone()
            write_json(
                folder / STATE,
                {
                    "update": trainer.update,
                    "kl_coef": trainer.kl.coef,
                    "value_offset": trainer.plain.value_offset,
                    "moments": vars(trainer.moments),
                    "collapsed_updates": trainer.collapsed_updates,
                    "random": random_states,
                },
            )
    else:
        place = [""]
        broadcast_object_list(place)
        accelerator.save_state(place[0])
        accelerator.wait_for_everyone()
    accelerator.wait_for_everyone()


def load(trainer: "PPOTrainer") -> None:
    """Puts a trainer where its last checkpoint was; without one it stays at the start."""
    folder = checkpoints.latest(trainer.folder)
    if folder is None:
        return
    trainer.accelerator.load_state(str(folder))
    kept = read_json(folder / STATE)
    trainer.update = kept["update"]
    trainer.kl.coef = kept["kl_coef"]
    trainer.plain.value_offset = kept["value_offset"]
    trainer.moments = RunningMoments(**kept["moments"])
    trainer.collapsed_updates = kept["collapsed_updates"]
    set_random_state(kept["random"][trainer.accelerator.process_index])


def random_state() -> dict[str, Any]:
    """This process's random states as JSON can hold them. A reward function may draw from any of them."""
    name, keys, *rest = cast(tuple[Any, ...], numpy.random.get_state(legacy=True))
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [each.tolist() for each in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
    }


def set_random_state(states: dict[str, Any]) -> None:
    """The inverse of `random_state`."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = states["numpy"]
    numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), *rest))
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if states["cuda"]:
        torch.cuda.set_rng_state_all([torch.tensor(each, dtype=torch.uint8) for each in states["cuda"]])

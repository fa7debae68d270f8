"""A PPO run or any stage under DeepSpeed on CPU processes; started by `accelerate launch` with deepspeed.yaml.

`deepspeed_world.py FOLDER [SETTINGS-JSON]` is ppo_world.py; `deepspeed_world.py align ...` is `trustdag align ...`.

accelerate uses DeepSpeed on accelerators alone. DeepSpeed itself runs on a CPU too, over gloo, so we tell accelerate's
state of that backend, and that this is not what it calls a CPU run; all that follows is what runs on GPUs.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from tests.support import ppo_world as world
from trustdag.cli import main
from trustdag.train import trainer

if __name__ == "__main__":
    PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.NO)
    Accelerator(cpu=False)
    arguments = trainer.arguments
    trainer.arguments = lambda *given: arguments(*given) | {"use_cpu": False}
    if sys.argv[1] == "align":
        sys.exit(main(sys.argv[1:]))
    world.run_to_the_end(Path(sys.argv[1]), json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))

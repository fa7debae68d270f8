"""A PPO run with weights sharded over CPU processes; `accelerate launch` with config/accelerate/fsdp.yaml starts it.

accelerate shards on GPUs alone: on a CPU it reads the configuration and then lets every process keep all. PyTorch's
FSDP runs on a CPU too, over gloo. So we tell accelerate's state what it is; all that follows is what runs on GPUs.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from tests.support import ppo_world as world


def shard() -> None:
    """Makes every `Accelerator` of this process an FSDP one, with the launcher's settings."""
    state = Accelerator(cpu=True).state
    state.fsdp_plugin = FullyShardedDataParallelPlugin()  # reads what the launcher has put into the environment
    assert state.fsdp_plugin.fsdp_version == 2
    state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP


if __name__ == "__main__":
    shard()
    world.run_to_the_end(Path(sys.argv[1]), json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))

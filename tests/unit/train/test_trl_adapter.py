"""What we take from TRL and transformers beyond their published interface: still there, and nothing is sent."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from trl import DPOTrainer, RewardTrainer, SFTTrainer
from trl.trainer import utils

from tests.support import tiny_models as tiny
from trustdag.jsonfiles import read_json
from trustdag.train import trl_adapter

OVERRIDDEN: list[tuple[type, str, list[str]]] = [
    (SFTTrainer, "_send_telemetry", ["self"]),
    (RewardTrainer, "_send_telemetry", ["self"]),
    (DPOTrainer, "_send_telemetry", ["self"]),
    (DPOTrainer, "_prepare_dataset", ["self", "dataset", "processing_class", "args", "dataset_name"]),
    (DPOTrainer, "_precompute_ref_logps", ["self", "dataset", "name", "batch_size"]),
]
"""Class of TRL, name and parameters of each method that the adapter overrides and TRL does not publish."""
TRAINERS = (trl_adapter.SFTStageTrainer, trl_adapter.RewardStageTrainer, trl_adapter.DPOStageTrainer)


@pytest.mark.parametrize(("trainer", "name", "parameters"), OVERRIDDEN)
def test_an_overridden_method_is_still_what_it_was(trainer: type, name: str, parameters: list[str]) -> None:
    method: Callable[..., Any] | None = getattr(trainer, name, None)
    assert method is not None, (
        f"{trainer.__name__}.{name} is gone: our override of it has no effect; see train/trl_adapter.py"
    )
    assert list(inspect.signature(method).parameters) == parameters, (
        f"{trainer.__name__}.{name} has other parameters now: adapt the override in train/trl_adapter.py"
    )


@pytest.mark.parametrize("trainer", [SFTTrainer, RewardTrainer, DPOTrainer])
def test_trls_metrics_are_still_kept_in_the_attribute_that_we_weigh(trainer: Any) -> None:
    for function in (trainer.__init__, trainer.log):
        assert "_metrics" in function.__code__.co_names, (
            f"{trainer.__name__} keeps its metrics elsewhere now: adapt `StageTrainer.log` in train/trl_adapter.py"
        )


def test_trls_output_of_log_probabilities_has_the_fields_that_we_fill() -> None:
    filled = {"loss", "log_probs", "entropy", "mean_logits", "is_top1", "label_mask"}
    missing = filled - {field.name for field in fields(utils.FusedCausalLMOutput)}
    assert not missing, f"FusedCausalLMOutput lacks {missing}: adapt `use_cpu_logprobs` in train/trl_adapter.py"


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_private_method_that_we_override_is_in_the_table(trainer: type) -> None:
    ours = [cls for cls in trainer.__mro__ if cls.__module__ == trl_adapter.__name__]
    theirs = [cls for cls in trainer.__mro__ if cls not in ours]
    overridden = {
        name
        for cls in ours
        for name in vars(cls)
        if name.startswith("_") and not name.startswith("__") and any(name in vars(base) for base in theirs)
    }
    assert overridden <= {name for _, name, _ in OVERRIDDEN}
    assert all(f".{name}`" in str(trl_adapter.__doc__) for name in overridden)


# --- Nothing leaves the machine ---

WITHOUT_NETWORK = """
import socket, sys
from pathlib import Path

refused = Path(sys.argv[1])
real_connect, real_getaddrinfo = socket.socket.connect, socket.getaddrinfo
LOCAL = ("localhost", "127.0.0.1", "::1", socket.gethostname(), None, "")

def refuse(address):
    with refused.open("a") as handle:
        handle.write(f"{address}\\n")
    raise OSError(f"{address}: no network in this test")

def connect(self, address):
    if self.family == socket.AF_UNIX or address[0] in LOCAL:
        return real_connect(self, address)
    refuse(address)

def getaddrinfo(host, *arguments, **keywords):
    if host in LOCAL:
        return real_getaddrinfo(host, *arguments, **keywords)
    refuse(host)

def connect_ex(self, address):
    return 0 if connect(self, address) is None else 1

socket.socket.connect, socket.socket.connect_ex = connect, connect_ex
socket.getaddrinfo = getaddrinfo
"""
STAGE = """
from tests.support import tiny_models as tiny
from trustdag.align import methods

world = Path(sys.argv[2])
settings = methods()["sft"].Settings(batch_size=8, max_length=64, max_steps=3, checkpoint_every=2)
methods()["sft"].train(tiny.stage("sft", world / "base" / "model", world / "data", world / "sft"), settings)
"""
LEAK = """
import threading, urllib.request

def leak():
    try:
        urllib.request.urlopen("http://example.org")
    except OSError:
        pass

thread = threading.Thread(target=leak)
thread.start()
thread.join()
"""


def attempts(script: str, world: Path) -> list[str]:
    """The addresses outside of this machine that a script tries to reach, however it takes the refusal."""
    refused = world / "refused.txt"
    refused.write_text("")
    # Without the variables that switch the libraries' reports off, and not as in a continuous integration.
    switches = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK", "CI")
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT_NETWORK + script, str(refused), str(world)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return refused.read_text().splitlines()


def test_a_whole_stage_reaches_for_no_other_machine(tmp_path: Path) -> None:
    tiny.write_data(tmp_path / "data")
    tiny.write_base(tmp_path / "base")
    assert attempts(STAGE, tmp_path) == []
    assert read_json(tmp_path / "sft" / "manifest.json")["facts"]["steps"] == 3


def test_an_attempt_in_a_thread_that_hides_its_errors_is_seen(tmp_path: Path) -> None:
    assert attempts(LEAK, tmp_path) == ["example.org"]

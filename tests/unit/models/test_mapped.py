"""Weights that are only read lie in a file, and leave the memory of the process between two readings."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from trustdag.models.mapped import MappedWeights, map_frozen


def layers(rows: int) -> nn.Sequential:
    """Two layers that are not trained, the first of `rows` x 1,024 weights in fp32."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1024, rows), nn.Linear(rows, 3, bias=False)).requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_computes_the_same_after_its_weights_have_left_memory(tmp_path: Path, dtype: torch.dtype) -> None:
    # given
    model = layers(20 * 1024).to(dtype)
    plain, x = copy.deepcopy(model), torch.randn(2, 1024, dtype=dtype)
    # when
    weights = MappedWeights(model.parameters(), tmp_path)
    weights.release()
    # then
    assert torch.equal(model(x), plain(x))
    assert not list(tmp_path.iterdir())


def test_a_small_model_stays_in_memory(tmp_path: Path) -> None:
    assert map_frozen(layers(1024), nn.Linear(1, 1), tmp_path) is None


def test_weights_that_are_trained_too_stay_in_memory(tmp_path: Path) -> None:
    # given a model whose first layer another one trains
    model, trained = layers(20 * 1024), nn.Linear(1024, 20 * 1024)
    model[0] = trained
    before = trained.weight.data_ptr()
    # when
    assert map_frozen(model, trained, tmp_path) is None
    # then
    assert trained.weight.data_ptr() == before


RESIDENT = """
import torch
from torch import nn
from pathlib import Path
from trustdag.models.mapped import map_frozen

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

model = nn.Linear(1024, 64 * 1024).requires_grad_(False)  # 256 MiB
x = torch.ones(1, 1024)
first, start = model(x), resident()
weights = map_frozen(model, nn.Linear(1, 1), Path("."))
mapped = resident()
again, read = model(x), resident()
weights.release()
assert torch.equal(first, again)
print(start - mapped, read - mapped, read - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_weights_are_in_memory_only_while_they_are_read(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "workflow")}
    command = [sys.executable, "-c", RESIDENT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert all(float(change) > 200 for change in done.stdout.split())

"""Linear layers by oneDNN, and memory that malloc keeps."""

import copy
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trustdag.models import cpu


@pytest.mark.parametrize("few", [0, cpu.FEW], ids=["by oneDNN", "few multiplications, by MKL"])
@pytest.mark.parametrize("bias", [True, False])
def test_onednn_linear_has_the_result_and_gradients_of_linear(
    bias: bool, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(cpu, "FEW", few)
    plain = torch.nn.Linear(12, 7, bias=bias)
    fast = copy.deepcopy(plain)
    fast.__class__ = cpu.OneDNNLinear
    x = torch.randn(3, 5, 12, requires_grad=True)
    y = x.detach().clone().requires_grad_(True)
    weights = torch.randn(3, 5, 7)
    # when
    (plain(x) * weights).sum().backward()
    (fast(y) * weights).sum().backward()
    with torch.no_grad():
        without_gradients = fast(y)
    # then
    torch.testing.assert_close(fast(y), plain(x))
    torch.testing.assert_close(without_gradients, plain(x))
    torch.testing.assert_close(y.grad, x.grad)
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def printed(script: str) -> str:
    """What a script prints in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "workflow")}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


FAULTS = """
import resource
import torch
from trustdag.models.cpu import keep_freed_memory
{call}
for _ in range(20):
    torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_a_freed_tensor_leaves_its_pages_to_the_next() -> None:
    # Given tensors of 40 MB, ten thousand pages, in a process of their own
    faults = {call: int(printed(FAULTS.format(call=call))) for call in ("", "keep_freed_memory()")}
    # Then each takes new pages from the system; once freed memory is kept, the later ones take none.
    assert faults["keep_freed_memory()"] < 1000 < 5 * 9000 < faults[""]


EMBEDDINGS = """
import sys
import torch
from transformers import LlamaConfig, LlamaModel
from trustdag.models.cpu import release_before_embeddings

sizes = dict(hidden_size=64, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
model = LlamaModel(LlamaConfig(vocab_size=2**19, **sizes))
model.embed_tokens.weight.data.zero_()
{call}
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
loss = model(input_ids=torch.arange(8)[None]).last_hidden_state.sum()
blocks = [bytearray(100_000) for _ in range(3000)]
del blocks[:-1]
before = resident()
seen = []
model.embed_tokens.weight.register_hook(lambda gradient: seen.append(resident()))
loss.backward()
print(seen[0] - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_memory_is_returned_before_the_gradient_of_large_embeddings() -> None:
    # Given embeddings of 128 MiB, and 300 MB that were freed and lie below a block in use
    # When the gradient of the embeddings is computed
    more = {call: float(printed(EMBEDDINGS.format(call=call))) for call in ("", "release_before_embeddings(model)")}
    # Then the process has less memory than before, and would else have kept it
    assert more["release_before_embeddings(model)"] < -100 < -10 < more[""]

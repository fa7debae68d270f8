"""Arithmetic of a training step and of a machine: what share of its peak does a benchmark reach?"""

import time
from collections.abc import Callable

import torch
from torch import nn

PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12}
"""Dense bf16 FLOP/s that the makers state, by a part of the device's name; the first that fits counts."""


def step_flops(trunk: int, output: int, layers: int, hidden: int, lengths: list[int], replies: int) -> float:
    """Floating-point operations of a forward and a backward pass over whole sequences.

    `trunk` parameters (without embeddings) act on each token, the `output` layer's on the `replies` reply tokens alone:
    6 operations each, 2 forward and 4 backward. Causal attention: 6 layers hidden T^2 for a sequence of T tokens
    (scores and weighted values are 2 T^2 hidden each in the forward pass, half of which the causal mask leaves out).
    """
    attention = 6 * layers * hidden * sum(length**2 for length in lengths)
    return 6.0 * (trunk * sum(lengths) + output * replies) + attention


def peak(device: torch.device) -> tuple[float, float] | None:
    """Peak FLOP/s by wall clock and by processor time: the maker's bf16 on a GPU that `PEAKS` names, else None; on a
    CPU, the fastest of several fp32 matrix products through the linear layer that training uses."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        stated = next((value for part, value in PEAKS.items() if part in name), None)
        return None if stated is None else (stated, stated)
    from trustdag.models.cpu import use_onednn

    size, times = 2048, 5
    layer = nn.Sequential(nn.Linear(size, size, bias=False)).requires_grad_(False)
    use_onednn(layer)
    x = torch.randn(size, size)
    seconds = [_seconds(lambda: layer(x)) for _ in range(times)]
    return 2 * size**3 / min(wall for wall, _ in seconds), 2 * size**3 / min(processor for _, processor in seconds)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor

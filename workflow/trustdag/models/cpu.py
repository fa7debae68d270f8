"""Linear layers at the full speed of any x86 CPU.

PyTorch multiplies fp32 matrices with Intel's MKL, which does not use its wide instructions on other makers' CPUs.
oneDNN, which PyTorch includes too, uses them: on a Zen 5 it is 2.1 times as fast forward and 1.8 times backward (see
docs/performance.md). Both compute in fp32. Imports torch: import it inside functions only.
"""

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trustdag.models.adapters import become, onednn_linear

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FEW = 1 << 20
"""Products of at most this many multiplications are computed by MKL, because oneDNN needs 10 µs to start."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
KEPT = 512 << 20
MAPPED = 64 << 20


def keep_freed_memory() -> None:
    """Makes malloc (glibc) keep up to 512 MiB of freed memory for blocks of up to 64 MiB.

    By default it returns the memory of larger tensors to the system, which must map and clear the pages again for the
    next tensor. That takes a third of the time of a small model's forward pass.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, MAPPED)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def release_before_embeddings(model: "PreTrainedModel") -> None:
    """Makes malloc return what it keeps before the gradient of large embeddings is computed.

    It is the last gradient of a backward pass, and too large for the blocks of activations that malloc keeps. Together
    they were the peak of a training's memory.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    embeddings = model.get_input_embeddings()
    if trim is None or embeddings.weight.nbytes < MAPPED:
        return

    def release(_gradient: Tensor) -> None:
        trim(0)

    def watch(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(release)

    embeddings.register_forward_hook(watch)


def use_onednn(model: nn.Module) -> None:
    """Makes every fp32 linear layer of a model compute with oneDNN, if MKL is slow on this CPU."""
    if not mkl_is_slow():
        return
    for module in model.modules():
        if type(module) is nn.Linear and module.weight.device.type == "cpu" and module.weight.dtype == torch.float32:
            become(module, OneDNNLinear)


def mkl_is_slow() -> bool:
    """Whether this is an x86 CPU of another maker than Intel, and PyTorch was built with both libraries."""
    cpu = Path("/proc/cpuinfo")
    built = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return built and cpu.is_file() and "AuthenticAMD" in cpu.read_text(encoding="utf-8")


class OneDNNLinear(nn.Linear):
    """A linear layer with the parameters and the result of `nn.Linear`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """input (..., in) -> (..., out)."""
        if self.weight.dtype != torch.float32 or input.numel() * self.out_features <= FEW:
            return super().forward(input)
        if not torch.is_grad_enabled():
            return _product(input, self.weight, self.bias)
        return _Linear.apply(input, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    """y = x W' + b and its gradients, each product by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        flat = grad.reshape(-1, grad.shape[-1])
        return (
            _product(grad, weight.t()) if needs_x else None,
            _weight_gradient(flat, x.reshape(-1, x.shape[-1])) if needs_weight else None,
            flat.sum(0) if needs_bias and ctx.has_bias else None,
        )


def _weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """grad (n, out) transposed times x (n, in): (out, in). oneDNN is faster with the wider side as columns."""
    if grad.shape[1] < x.shape[1]:
        return _product(grad.t(), x.t())
    return _product(x.t(), grad.t()).t()


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., in) times weight (out, in) transposed, plus bias (out,)."""
    return onednn_linear(x, weight, bias)

"""The output of a run: metrics.jsonl, samples.jsonl, a progress bar, and errors when it has diverged."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from trustdag.artifacts import append_jsonl
from trustdag.errors import UserError
from trustdag.rl.batch import Batch
from trustdag.rl.losses import ClippedLoss, explained_variance, kl_estimate, masked_mean
from trustdag.rl.model import Evaluation
from trustdag.rl.settings import PPOSettings
from trustdag.train.metrics import MetricsLog
from trustdag.train.trackers import Trackers

if TYPE_CHECKING:
    from accelerate import Accelerator

Phase = Literal["generate", "reward", "evaluate", "optimize"]
"""Timed phases of an update: sampling, the reward, the other models, the optimizer steps."""
SUMS = ("tokens", "policy_loss", "value_loss", "policy_clipped", "value_clipped", "entropy", "approx_kl")


class UpdateLog:
    """Collects the metrics of an update and writes them as one line of metrics.jsonl."""

    def __init__(
        self, folder: Path, settings: PPOSettings, accelerator: "Accelerator", trackers: Trackers | None = None
    ) -> None:
        """The log of a run; nothing is written yet.

        Args:
            folder: The folder of checkpoints, metrics.jsonl and samples.jsonl.
            settings: PPO's settings.
            accelerator: Knows the first process, which writes.
            trackers: They get each line of metrics too.
        """
        self.settings, self.accelerator = settings, accelerator
        self.metrics = MetricsLog(folder, "ppo", settings.updates, trackers)
        self.samples = folder / "samples.jsonl"
        self._kept_samples = MetricsLog(folder, "ppo", settings.updates)
        self._kept_samples.path = self.samples
        self.values: dict[str, float] = {}
        self._bar: Any = None
        self._reset()

    def _reset(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64)
        self._norms: list[Tensor] = []
        self._began = time.perf_counter()

    def start(self, update: int, checkpoint: Path | None) -> None:
        """Restores the logs of a checkpoint, or starts empty ones, and shows a progress bar on a terminal.

        Args:
            update: Number of updates that are done.
            checkpoint: The checkpoint of that update; None at the start of a run.
        """
        from tqdm import tqdm  # type: ignore[import-untyped]

        if self.accelerator.is_main_process:
            self.metrics.restore(checkpoint, update)
            self._kept_samples.restore(checkpoint, update)
            self._bar = tqdm(total=self.settings.updates, initial=update, desc="ppo", unit="update", disable=None)
        self._reset()

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Adds the time spent in the context to a phase."""
        began = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._seconds[name] += time.perf_counter() - began

    def describe_rollout(self, batch: Batch, rewards: Tensor, returns: Tensor, kl_coef: float) -> None:
        """Adds the metrics that are known before the optimizer steps.

        Args:
            batch: The replies.
            rewards: (B, T) per token, with the KL penalty.
            returns: (B, T)
            kl_coef: The weight of the KL penalty.
        """
        kl = kl_estimate(batch.logprobs, batch.ref_logprobs, self.settings.kl_estimator) * batch.mask
        self.values = {
            "reward": batch.scores.mean().item(),
            "reward_sd": batch.scores.std(correction=0).item(),
            "return": rewards.sum(1).mean().item(),
            "kl": kl.sum(1).mean().item(),
            "kl_per_token": masked_mean(kl, batch.mask).item(),
            "kl_coef": kl_coef,
            "length": batch.lengths.double().mean().item(),
            "ended": batch.ended.double().mean().item(),
            "explained_variance": explained_variance(batch.values, returns, batch.mask).item(),
            "distinct_replies": float(distinct_replies(batch)),
            "tokens": float(batch.mask.sum()),
        }

    @torch.no_grad()
    def add_tokens(self, evaluation: Evaluation, old_logprobs: Tensor, policy: ClippedLoss, value: ClippedLoss) -> None:
        """Adds the tokens of one forward pass.

        Args:
            evaluation: Policy and value model at the N tokens.
            old_logprobs: (N,) of the policy that sampled them.
            policy: The policy's losses.
            value: The value model's losses.
        """
        approx_kl = kl_estimate(old_logprobs, evaluation.logprobs, "k3")
        columns = (policy.losses, value.losses, policy.clipped, value.clipped, evaluation.entropy, approx_kl)
        sums = torch.stack([torch.ones_like(old_logprobs).sum(), *(column.double().sum() for column in columns)])
        self._sums = self._sums.to(sums.device) + sums

    def add_step(self, norm: Tensor) -> None:
        """Adds the gradient norm of one optimizer step."""
        self._norms.append(norm.detach())

    def finish(self, update: int, learning_rate: float) -> None:
        """Completes the update's metrics and writes them."""
        tokens, policy, value, policy_clipped, value_clipped, entropy, approx_kl = self.accelerator.reduce(
            self._sums, "sum"
        ).tolist()
        seconds = time.perf_counter() - self._began
        self.values |= {
            "policy_loss": policy / tokens,
            "value_loss": value / tokens,
            "policy_clip_fraction": policy_clipped / tokens,
            "value_clip_fraction": value_clipped / tokens,
            "entropy": entropy / tokens,
            "approx_kl": approx_kl / tokens,
            "grad_norm": torch.stack(self._norms).mean().item(),
            "learning_rate": learning_rate,
            **{f"seconds_{name}": self._seconds[name] for name in get_args(Phase)},
            "seconds": seconds,
            "samples_per_second": self.settings.batch_size / seconds,
            "tokens_per_second": self.values.pop("tokens") / seconds,
        }
        if self.accelerator.is_main_process:
            if update % self.settings.log_every == 0 or update == self.settings.updates:
                self.metrics.append(update, "train", self.values)
            self._show(update)
        self._reset()

    def _show(self, update: int) -> None:
        bar, values = self._bar, self.values
        text = f"reward {values['reward']:.3g}, KL {values['kl']:.3g}, ended {values['ended']:.0%}"
        if bar is not None and not bar.disable:
            bar.set_postfix_str(text, refresh=False)
            bar.update(1)
        elif update % max(self.settings.log_every, self.settings.updates // 20) == 0:
            print(
                f"ppo {update}/{self.settings.updates}: {text}, {values['samples_per_second']:.0f} replies/s",
                flush=True,
            )

    def write_samples(self, update: int, records: list[dict[str, Any]]) -> None:
        """Writes some replies to samples.jsonl, for a person to read."""
        if self.accelerator.is_main_process:
            for record in records:
                append_jsonl(self.samples, {"step": update, **record})

    def close(self) -> None:
        """Closes the progress bar."""
        if self._bar is not None:
            self._bar.close()


def distinct_replies(batch: Batch) -> int:
    """Number of different replies in a batch."""
    starts, lengths = batch.prompt_lengths.tolist(), batch.lengths.tolist()
    rows = batch.tokens.tolist()
    return len({tuple(row[start : start + length]) for row, start, length in zip(rows, starts, lengths, strict=True)})


def gradient_is_finite(norm: Tensor, update: int) -> None:
    """Raises UserError for a gradient norm that is not finite, before the optimizer step."""
    if not torch.isfinite(norm):
        raise UserError(
            f"ppo: the gradient norm is {norm.item()} in update {update + 1}; the last checkpoint is kept. "
            "Lower learning_rate, or look at the rewards in metrics.jsonl"
        )


def check_health(values: dict[str, float], update: int, settings: PPOSettings) -> None:
    """Raises UserError if the metrics of a rollout show that the run has diverged.

    Args:
        values: the update's metrics.
        update: the update's number.
        settings: PPO's settings.
    """
    if values["kl"] != values["kl"] or values["reward"] != values["reward"]:
        raise UserError(
            f"ppo: KL {values['kl']} and reward {values['reward']} in update {update + 1}; the last checkpoint is kept"
        )
    if settings.kl_limit is not None and values["kl"] > settings.kl_limit:
        raise UserError(
            f"ppo: the KL to the reference is {values['kl']:.4g} per reply in update {update + 1}, above kl_limit "
            f"{settings.kl_limit:g}; the last checkpoint is kept. Raise kl_coef, lower learning_rate, or raise kl_limit"
        )


def check_variety(collapsed_updates: int, update: int, settings: PPOSettings) -> None:
    """Raises UserError if the policy has given one reply to all prompts in too many updates in a row.

    Args:
        collapsed_updates: updates in a row with one reply to all prompts.
        update: the update's number.
        settings: PPO's settings.
    """
    if settings.collapse_patience is not None and collapsed_updates >= settings.collapse_patience:
        raise UserError(
            f"ppo: the policy has collapsed: in each of {collapsed_updates} updates up to {update + 1} it gave one "
            "reply to all prompts; the last checkpoint is kept. Raise kl_coef or entropy_coef, or lower "
            "learning_rate; or make collapse_patience null, if one reply is what the reward favors"
        )

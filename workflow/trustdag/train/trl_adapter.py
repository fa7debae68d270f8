"""TRL's trainers as stages: the only file that depends on names that TRL and transformers do not publish.

`tests/unit/train/test_trl_adapter.py` fails if one of these names or its parameters change. All are overridden since
trustdag 0.1.0, and last checked with TRL 1.16.0 and transformers 5.23.0.

| name | what we do | why |
|---|---|---|
| `BaseTrainer._send_telemetry` | send nothing | TRL reports each use of a trainer to the hub |
| `_metrics` of each trainer | weigh each batch by its rows | TRL averages the means of batches of unequal size |
| `DPOTrainer._prepare_dataset` | return the dataset | it is tokenized already; no setting skips this step |
| `DPOTrainer._precompute_ref_logps` | keep the result with the checkpoints | TRL's own cache is lost at a restart |
| `FusedCausalLMOutput`, a model's `forward` | see `use_cpu_logprobs` | TRL's tiles double the time of a step on a CPU |

Everything else is done through published methods, settings and callbacks. Imports transformers and trl: import it
inside functions only.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, Trainer
from trl import DPOTrainer, RewardTrainer, SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput

from trustdag.artifacts import atomic_folder
from trustdag.models.cpu import release_before_embeddings, use_onednn
from trustdag.models.logprobs import OutputLayer, log_probability, read_logits, vocabulary_of
from trustdag.seals import seal, whole
from trustdag.train.lora import base_of
from trustdag.train.session import processes

REFERENCE = "logps.safetensors"
REFERENCE_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


class StageTrainer(Trainer):
    """A mixin of TRL's trainers for a stage. It comes before TRL's class among the base classes."""

    _metrics: dict[str, dict[str, list[float]]]

    def __init__(self, **keywords: Any) -> None:
        self._rows: dict[str, list[int]] = {"train": [], "eval": []}
        """Rows of each batch since the last line of metrics."""
        super().__init__(**keywords)
        if self.accelerator.num_processes != processes():
            raise RuntimeError(
                f"{processes()} processes were started, but {self.accelerator.num_processes} train together"
            )
        if torch.cuda.is_available():
            return
        release_before_embeddings(base_of(self.model))
        if not self.args.bf16:
            use_onednn(self.model)
        if hasattr(self.model, "generate"):
            use_cpu_logprobs(base_of(self.model))

    def _send_telemetry(self) -> None:
        """Sends nothing."""

    def create_model_card(self, *_args: Any, **_keywords: Any) -> None:
        """Writes nothing. TRL would write a card into each checkpoint; the stage's card is written at the end."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **keywords: Any) -> Any:
        """The loss; counts the rows of the batch."""
        mode = "train" if self.model.training else "eval"
        loss = super().compute_loss(model, inputs, *args, **keywords)
        self._rows[mode].append(len(inputs["input_ids"]))
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs means over rows: the last batch of an evaluation is smaller and must have less weight."""
        mode = "train" if self.model.training else "eval"
        rows = self._rows[mode]
        for values in self._metrics[mode].values():
            if len(values) == len(rows):
                values[:] = [sum(value * count for value, count in zip(values, rows, strict=True)) / sum(rows)]
        rows.clear()
        super().log(logs, start_time)


class PairStageTrainer(StageTrainer):
    """A trainer whose loss is a mean over pairs, which transformers averages over the passes of a step.

    The last pass of an epoch may be smaller. Its weight is its number of pairs. (SFT divides by the tokens of the whole
    step itself.)
    """

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> Any:
        """The passes of one optimizer step; stores their numbers of rows."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._rows_of_step = [len(batch["input_ids"]) for batch in batches]
        return batches, items

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **keywords: Any) -> Any:
        """The loss, times the share of the pass in its step, divided by the share that transformers assumes."""
        loss = super().compute_loss(model, inputs, *args, **keywords)
        if not self.model.training:
            return loss
        rows = self._rows_of_step
        weight = len(inputs["input_ids"]) * len(rows) / sum(rows)
        return loss if weight == 1 else loss * weight


class SFTStageTrainer(StageTrainer, SFTTrainer):
    """Supervised fine-tuning as a stage."""


class RewardStageTrainer(PairStageTrainer, RewardTrainer):
    """The reward model as a stage."""


class DPOStageTrainer(PairStageTrainer, DPOTrainer):
    """DPO as a stage. The reference's log-probabilities are computed once, also if the stage is restarted."""

    def __init__(self, *, reference_folder: Path, **keywords: Any) -> None:
        """Reads the log-probabilities from `reference_folder`, or computes them and writes them there."""
        self._reference_folder = reference_folder
        super().__init__(**keywords)

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:  # noqa: ARG002
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        folder = self._reference_folder / f"reference-{name}"
        stored = [self.accelerator.is_main_process and whole(folder, "it is computed again")]
        broadcast_object_list(stored)
        if not stored[0]:
            columns = self._reference_logps(dataset, batch_size)
            if self.accelerator.is_main_process:
                with atomic_folder(folder) as partial:
                    save_file(columns, str(partial / REFERENCE))
                    seal(partial)
            self.accelerator.wait_for_everyone()
        for column, values in load_file(str(folder / REFERENCE)).items():
            dataset = dataset.add_column(column, values.tolist())
        return dataset

    def _reference_logps(self, dataset: Any, batch_size: int) -> dict[str, torch.Tensor]:
        """The sum of log-probabilities of each pair's replies under the model that training starts from, (n,) each."""
        loader = self.accelerator.prepare(
            torch.utils.data.DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False)
        )
        model = self.ref_model or self.model.to(self.accelerator.device)
        batches = [self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch)) for batch in loader]
        return {
            column: torch.cat(parts).float().cpu()
            for column, parts in zip(REFERENCE_COLUMNS, zip(*batches, strict=True), strict=True)
        }


def use_cpu_logprobs(model: PreTrainedModel) -> None:
    """Makes `model(..., labels=labels, fused_lm_head=True)` compute log-probabilities in a way that is fast on a CPU.

    TRL patches the model so that it computes the log-probabilities of all positions in tiles, and again in the backward
    pass. Here only positions with a label are computed, and recomputed only if they fill more than one chunk
    (`models/logprobs.py`). A model that changes its output layer's logits computes all of them at once. Entropy and
    mean logits, which are unused, are NaN.
    """
    original, output = type(model).forward, OutputLayer.of(model.config)
    in_parts = output.fits(model)

    def forward(*args: Any, fused_lm_head: bool = False, labels: torch.Tensor | None = None, **keywords: Any) -> Any:
        if not fused_lm_head or labels is None:
            return original(model, *args, labels=labels, **keywords)
        mask, tokens = labels[:, 1:] != -100, labels[:, 1:][labels[:, 1:] != -100]  # (B, T-1), (N,)
        if in_parts:
            states = model.base_model(*args, **keywords).last_hidden_state[:, :-1][mask]  # (N, H)
            logits_of = partial(output.logits, model)
            log_probs, is_top = read_logits(logits_of, vocabulary_of(model), states, tokens, read_label)
        else:
            log_probs, is_top = read_label(original(model, *args, **keywords).logits[:, :-1][mask], tokens)
        unread = log_probs.new_full(mask.shape, torch.nan)
        return FusedCausalLMOutput(
            loss=-log_probs.mean(),
            log_probs=log_probs.new_zeros(mask.shape).masked_scatter(mask, log_probs),
            entropy=unread,
            mean_logits=unread,
            is_top1=torch.zeros_like(mask).masked_scatter(mask, is_top),
            label_mask=mask,
        )

    model.forward = forward


def read_label(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probability of each label, and whether no token is more likely: (n, V) and (n,) -> (n,) each.

    Returns:
        Log-probabilities in nats, (n,), and truth values, (n,).
    """
    (log_probs,) = log_probability(logits, labels)
    return log_probs, logits.detach().argmax(-1) == labels

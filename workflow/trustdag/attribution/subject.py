"""The model whose training is attributed, with its training pairs as examples. Imports torch."""

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from trustdag.align import dpo, methods
from trustdag.attribution.attention import use_twice_differentiable
from trustdag.attribution.batches import Examples
from trustdag.attribution.gradients import FullView, Gradients, View
from trustdag.attribution.layers import LayerKind, Selection, select
from trustdag.attribution.objectives import Objective, objective_of, reply_logprobs
from trustdag.attribution.processes import ALONE, Processes
from trustdag.attribution.replay import Replay
from trustdag.attribution.settings import VerticalAttribution
from trustdag.attribution.task import AttributionTask
from trustdag.attribution.views import LoraView, ProjectedView
from trustdag.layout import Results
from trustdag.models.load import load_policy, load_reward, load_tokenizer, new_reward
from trustdag.train.pairs import encode, read_pairs
from trustdag.train.settings import SupervisedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COLUMNS = {"sft": ("chosen",), "reward": ("chosen", "rejected"), "dpo": ("chosen", "rejected")}
"""The replies that each method trains on."""
REFERENCE_BLOCK = 32
"""Pairs at most in one forward pass of the model that DPO starts from."""
REFERENCE_LOGITS = 1 << 26
"""Logits at most in such a pass, in the longest block."""


@dataclass(frozen=True)
class Subject:
    """A trained model and what it was trained on."""

    task: AttributionTask
    settings: SupervisedSettings
    model: Any
    """On the device, in single precision, in evaluation mode."""
    start_folder: Path
    """The policy that the training started from."""
    tokenizer: "PreTrainedTokenizerBase"
    pairs: pd.DataFrame
    """The pairs that were trained on, with their `row` in train.parquet."""
    examples: Examples
    objective: Objective

    @classmethod
    def load(cls, task: AttributionTask, files: Results, processes: Processes = ALONE) -> "Subject":
        """Reads the model, its start model, and its pairs.

        Args:
            task: The job.
            files: The study's files.
            processes: Those that share the passes of the start model.

        Raises:
            UserError: A file is missing.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        folder = Path(files.model(task.trained, "model"))
        start = Path(files.model(task.start, "model"))
        settings: SupervisedSettings = methods()[task.trained_method].Settings(**task.settings)
        tokenizer = load_tokenizer(start)
        data = Path(files.data(task.preferences, "train.parquet"))
        columns = COLUMNS[task.trained_method]
        encoded = encode(data, columns, tokenizer, task.prompt_format, settings.max_length)
        pairs = read_pairs(data).iloc[encoded.rows].assign(row=encoded.rows).reset_index(drop=True)
        examples = Examples.of_pairs(encoded, columns)
        if isinstance(settings, dpo.Settings):
            examples = with_reference(examples, load_policy(start).to(device), int(tokenizer.pad_token_id), processes)
        model = load_reward(folder) if task.trained_method == "reward" else load_policy(folder)
        lengths = [len(reply) for reply in encoded.replies["chosen"]]
        objective = objective_of(settings, sum(lengths) / len(lengths))
        return cls(task, settings, model.to(device).eval(), start, tokenizer, pairs, examples, objective)

    @property
    def pad(self) -> int:
        """The token that rows are padded with."""
        return int(self.tokenizer.pad_token_id)

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return next(iter(self.model.parameters())).device

    @cached_property
    def trained(self) -> Tensor:
        """The trained weights as one vector."""
        return torch.nn.utils.parameters_to_vector(self.model.parameters()).detach().clone()

    def selection(self, wanted: VerticalAttribution) -> Selection:
        """The layers that are attributed.

        Adapters and projections exist for linear layers alone, and adapters only of layers that the stage changed.
        """
        small = wanted.gradients == "lora" or wanted.method == "projected"
        kinds: tuple[LayerKind, ...] = ("linear",) if small else ("linear", "embedding", "norm")
        selection = select(self.model, wanted.layers, kinds)
        return selection.changed_since(self._start()) if wanted.gradients == "lora" else selection

    def view(self, wanted: VerticalAttribution, selection: Selection, processes: Processes = ALONE) -> View:
        """The features of a gradient that the settings ask for.

        Args:
            wanted: The settings.
            selection: The attributed layers.
            processes: Those that share the layers. All then have the same factors, which eigenvectors alone do not
                promise.
        """
        if wanted.method == "projected":
            return ProjectedView.of_layers(selection.layers, wanted.projection, wanted.seed)
        if wanted.gradients == "lora":
            own = LoraView.of_change(
                tuple(processes.share(selection.layers)), self._start().to(self.device), wanted.rank
            )
            return LoraView.of_tensors(processes.whole(own.tensors()))
        return FullView()

    def gradients(
        self, selection: Selection, view: View, block: int, keep: bool, processes: Processes = ALONE
    ) -> Gradients:
        """The gradients of the pairs.

        Args:
            selection: The attributed layers.
            view: The features of a gradient.
            block: Pairs in one backward pass.
            keep: Whether they are kept after the first pass.
            processes: Those that share the pairs.
        """
        return Gradients(
            self.model,
            selection,
            lambda: (batch.to(self.device) for batch in self.examples.blocks(block, self.pad)),
            len(self.examples),
            self.objective.losses,
            self.objective.curvature,
            view,
            keep,
            processes,
        )

    def _start(self) -> Any:
        """The model before the first step: the policy, or a reward model with a new score layer."""
        if self.task.trained_method == "reward":
            return new_reward(self.start_folder, self.tokenizer, self.task.seed).eval()
        return load_policy(self.start_folder)

    def replay(self) -> Replay:
        """The training, to be repeated in the precision of the model."""
        start = torch.nn.utils.parameters_to_vector(self._start().parameters()).detach().to(self.trained)
        use_twice_differentiable(self.model)
        return Replay(self.model, start, self.examples, self.objective, self.settings, self.task.seed, self.pad)

    def in_double_precision(self) -> "Subject":
        """A copy in double precision, which derivatives through AdamW need; its weights may be changed."""
        reference = self.examples.reference
        examples = replace(self.examples, reference=None if reference is None else reference.double())
        return replace(self, model=deepcopy(self.model).double(), examples=examples)


@torch.no_grad()
def with_reference(examples: Examples, model: Any, pad: int, processes: Processes = ALONE) -> Examples:
    """The examples with their replies' log-probabilities under a model.

    Args:
        examples: The examples.
        model: The model that DPO starts from, on its device.
        pad: The token that rows are padded with.
        processes: Those that share the examples.
    """
    device = next(model.parameters()).device
    reference = torch.zeros(len(examples), len(examples.replies))
    fitting = REFERENCE_LOGITS // (examples.longest * model.config.get_text_config().vocab_size)
    for batch in processes.share(examples.blocks(min(REFERENCE_BLOCK, max(1, fitting)), pad)):
        rows = reply_logprobs(model, batch.to(device), by_row=True)
        reference[batch.examples] = rows.reshape(len(examples.replies), -1).T.to(reference)
    return replace(examples, reference=processes.whole({"reference": reference})["reference"])

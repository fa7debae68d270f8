"""The end of a stage: model folder, manifest and metrics; then its checkpoints go."""

from typing import TYPE_CHECKING, Any

from trustdag.models.folder import write_model
from trustdag.train import checkpoints
from trustdag.train.metrics import MetricsLog
from trustdag.train.settings import TrainSettings
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def write_outputs(
    stage: Stage,
    settings: TrainSettings,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    facts: dict[str, Any],
    state_dict: "dict[str, torch.Tensor] | None" = None,
) -> None:
    """Writes everything that a stage leaves, from one process.

    `facts` (examples used and dropped, final metrics) go into the model card and the manifest; NaN is not a fact.
    `state_dict` holds the weights where the model's own are spread over processes. The stage's `metrics.jsonl` is the
    one that lies in its checkpoints' folder (`MetricsLog`).
    """
    dump = settings.model_dump(mode="json")
    folder = stage.checkpoints(dump)
    # The model first: where the disk is too full for it, what an earlier run left is untouched.
    write_model(
        stage.out,
        model,
        tokenizer,
        kind="reward" if type(model).__name__.endswith("ForSequenceClassification") else "policy",
        prompt_format=stage.prompt_format,
        made_by={"settings": dump, **stage.made_from()},
        facts=facts,
        state_dict=state_dict,
    )
    MetricsLog(folder, stage.method, 0).copy_to(stage.metrics)
    checkpoints.remove(folder)

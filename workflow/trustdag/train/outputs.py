"""Writes the outputs of a stage (model folder, manifest and metrics) and removes its checkpoints."""

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
    """Writes all outputs of a stage. Called by one process.

    Args:
        stage: The stage, with its output folder and its inputs.
        settings: The method's settings.
        model: The trained model, without an adapter.
        tokenizer: Written with the model.
        facts: Examples used and dropped, final metrics: for the model card and the manifest. No value is NaN.
        state_dict: The weights, if the model's own are sharded over processes.
    """
    folder = stage.checkpoints(settings)
    # The model comes first: if the disk is too full for it, the files of an earlier run stay unchanged.
    write_model(
        stage.out,
        model,
        tokenizer,
        kind="reward" if type(model).__name__.endswith("ForSequenceClassification") else "policy",
        prompt_format=stage.prompt_format,
        made_by={"settings": settings.model_dump(mode="json"), **stage.made_from},
        facts=facts,
        state_dict=state_dict,
    )
    MetricsLog(folder, stage.method, 0).copy_to(stage.metrics)
    checkpoints.remove(folder)

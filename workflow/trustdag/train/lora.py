"""Set-up and merging of low-rank adapters, for all training methods."""

from typing import TYPE_CHECKING, Any, Literal

from trustdag.train.settings import Lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Task = Literal["CAUSAL_LM", "SEQ_CLS"]
"""peft's names of a language model and of a reward model."""


def lora_config(lora: Lora, task: Task) -> Any:
    """peft's settings of an adapter on every linear layer but the head; a reward model's score is trained whole."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
        task_type=task,
    )


def add_adapter(model: "PreTrainedModel", lora: Lora, task: Task = "CAUSAL_LM") -> "PreTrainedModel":
    """Adds a new adapter. Only its weights are trained; with the adapter off the model is unchanged.

    Args:
        model: The model.
        lora: Rank, scale and dropout.
        task: The kind of model.

    Returns:
        The model, wrapped by peft.
    """
    from peft import get_peft_model

    return get_peft_model(model, lora_config(lora, task))


def base_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """The transformers model: the model itself, or the model inside peft's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def merged(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model with its adapter, if it has one, added to its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model

"""Low-rank adapters: how they are set up and merged, for every training method."""

from typing import TYPE_CHECKING, Any, Literal

from trustdag.train.settings import Lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Task = Literal["CAUSAL_LM", "SEQ_CLS"]
"""peft's names of a language model and of a reward model."""


def lora_config(lora: Lora, task: Task) -> Any:
    """peft's configuration of an adapter on every linear layer but the head; a reward model trains its score whole."""
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
    """Adds a new adapter, whose weights alone train; with the adapter off the model is unchanged.

    Args:
        model: The model.
        lora: Rank, scale and dropout.
        task: What the model is.

    Returns:
        The model, wrapped by peft.
    """
    from peft import get_peft_model

    return get_peft_model(model, lora_config(lora, task))


def base_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """The transformers model inside: the model itself, or what peft has wrapped."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def merged(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model with its adapter, if it has one, added to its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model

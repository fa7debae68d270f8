"""Model folders to models and tokenizers, with the errors that a user can mend."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trustdag.artifacts import read_json
from trustdag.errors import UserError
from trustdag.models.base import Kind, model_files

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Precision = Literal["auto", "fp32", "bf16"]

PAD_TOKENS = ("<|padding|>", "<|pad|>", "<pad>", "[PAD]")
"""Padding tokens that a vocabulary may hold without its configuration naming them (Pythia's is the first)."""

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
"""Files of which a tokenizer has at least one."""


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder, with an end-of-text and a padding token.

    Raises UserError if there is no tokenizer, or if it has no end-of-text token: a policy could never stop.
    """
    from transformers import AutoTokenizer

    _require_folder(folder)
    # Without these files transformers makes up an empty tokenizer of the model's type, and says nothing.
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UserError(f"{folder}: no tokenizer ({' or '.join(VOCABULARIES)}); copy its files beside the weights")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: no tokenizer can be read here ({_first_line(error)})") from error
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{folder}: the tokenizer has no end-of-text token; name one as `eos_token` in tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        vocabulary = tokenizer.get_vocab()
        tokenizer.pad_token = next((token for token in PAD_TOKENS if token in vocabulary), tokenizer.eos_token)
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = int(1e9)  # we check lengths ourselves: a warning here would be about nothing
    return tokenizer


def load_policy(folder: Path, dtype: "torch.dtype | None" = None) -> "PreTrainedModel":
    """The causal language model of a folder, in fp32 unless `dtype` says otherwise, in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM

    model_files(folder)
    return AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=dtype or torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )


def load_reward(folder: Path, dtype: "torch.dtype | None" = None) -> "PreTrainedModel":
    """The reward model of a folder: a sequence classifier with one score, in fp32 unless `dtype` says otherwise.

    Raises UserError if the folder holds a language model instead.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    model_files(folder)
    check_kind(folder, "reward")
    return AutoModelForSequenceClassification.from_pretrained(
        str(folder), dtype=dtype or torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )


def new_reward(folder: Path, tokenizer: "PreTrainedTokenizerBase", seed: int) -> "PreTrainedModel":
    """A reward model on the trunk of the policy in `folder`: in fp32, its score's weights random by `seed`.

    The score is read at the last token that is not padding.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed

    model_files(folder)
    check_kind(folder, "policy")
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        str(folder),
        num_labels=1,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def load_config(folder: Path) -> "PreTrainedConfig":
    """The configuration of a model folder."""
    from transformers import AutoConfig

    _require_folder(folder)
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: no model configuration can be read here ({_first_line(error)})") from error


def check_kind(folder: Path, kind: Kind) -> None:
    """Raises UserError unless the folder's config.json says that the model is of this kind."""
    config = read_json(folder / "config.json")
    names = config.get("architectures") or ["unknown"]
    scores = len(config.get("id2label", {"0": "", "1": ""}))
    found = "reward" if names[0].endswith("ForSequenceClassification") else "policy"
    if found != kind:
        raise UserError(f"{folder}: holds a {found} model ({names[0]}) where a {kind} model is needed")
    if kind == "reward" and scores != 1:
        raise UserError(f"{folder}: a reward model has one score, this one has {scores} (num_labels in config.json)")


def context_length(config: "PreTrainedConfig") -> int:
    """The longest text that a model can read, in tokens."""
    return int(config.get_text_config().max_position_embeddings)


def check_length(folder: Path, config: "PreTrainedConfig", max_length: int) -> None:
    """Raises UserError if texts of `max_length` tokens do not fit the model's context."""
    if max_length > context_length(config):
        raise UserError(
            f"max_length: {max_length} tokens do not fit the context of {folder}, which is {context_length(config)}; "
            "lower max_length or take a model with a longer context"
        )


def choose_bf16(precision: Precision) -> bool:
    """Whether to compute in bf16: as `precision` says, and for `auto` on a GPU that has it."""
    import torch

    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__

"""Loads models and tokenizers from model folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trustdag.errors import UserError
from trustdag.models.base import Kind, architecture, model_files, read_config, refuse_links_outside, unreadable
from trustdag.models.weights import (
    Differences,
    is_wrapped,
    load_complete,
    load_weights,
    make_savable,
    require_complete,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Precision = Literal["auto", "fp32", "bf16"]

PAD_TOKENS = ("<|padding|>", "<|pad|>", "<pad>", "[PAD]")
"""Padding tokens that a vocabulary may have although its configuration does not name them (Pythia's is the first)."""

CONTEXT = ("max_position_embeddings", "max_seq_len", "seq_length")
"""Names of the context length in configurations; MPT has the second, some of Bloom's the third."""
UNLIMITED = 1 << 30

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
"""Vocabulary files, of which a tokenizer has at least one."""


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder, with an end-of-text and a padding token.

    Raises UserError if there is no tokenizer, or it has no end-of-text token, without which a policy could not stop.
    """
    from transformers import AutoTokenizer

    _require_folder(folder)
    # Without these files transformers creates an empty tokenizer of the model's type without a message.
    if not has_vocabulary(folder):
        raise UserError(f"{folder}: no tokenizer ({' or '.join(VOCABULARIES)}); copy its files beside the weights")
    refuse_links_outside(folder)
    if (folder / "config.json").exists():  # transformers reads it too
        load_config(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the libraries raise on it
        raise unreadable(folder, "the tokenizer", error) from error
    return complete_tokenizer(folder, tokenizer)


def has_vocabulary(folder: Path) -> bool:
    """Whether the folder contains a tokenizer's vocabulary."""
    return any((folder / name).is_file() for name in VOCABULARIES)


def complete_tokenizer(source: Path, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """The tokenizer with a padding token, padding on the right, and without its own limit of lengths.

    Raises UserError if it has no end-of-text token, without which a policy could not stop.
    """
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{source}: the tokenizer has no end-of-text token; name one as `eos_token` in tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        vocabulary = tokenizer.get_vocab()
        tokenizer.pad_token = next((token for token in PAD_TOKENS if token in vocabulary), tokenizer.eos_token)
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = int(1e9)  # lengths are checked elsewhere; this avoids a needless warning
    return tokenizer


def load_policy(folder: Path, dtype: "torch.dtype | None" = None, device: str | None = None) -> "PreTrainedModel":
    """The causal language model of a folder, in evaluation mode.

    Args:
        folder: The model folder.
        dtype: Precision of the weights in memory. None: fp32.
        device: `meta` reads names and shapes of the weights alone, in no memory. None: the CPU.

    Raises:
        UserError: The folder's files do not contain exactly the weights of the model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model_files(folder)
    check_kind(folder, "policy")
    model = load_complete(AutoModelForCausalLM, folder, dtype or torch.float32, device)
    make_savable(folder, model)
    return model


def load_reward(folder: Path, dtype: "torch.dtype | None" = None, device: str | None = None) -> "PreTrainedModel":
    """The reward model of a folder: a sequence classifier with one score.

    Args:
        folder: The model folder.
        dtype: Precision of the weights in memory. None: fp32.
        device: `meta` reads names and shapes of the weights alone, in no memory. None: the CPU.

    Raises:
        UserError: The folder contains a language model instead, or lacks a weight.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    model_files(folder)
    check_kind(folder, "reward")
    return load_complete(AutoModelForSequenceClassification, folder, dtype or torch.float32, device)


def new_reward(folder: Path, tokenizer: "PreTrainedTokenizerBase", seed: int) -> "PreTrainedModel":
    """A reward model on the trunk of the policy in `folder`, in fp32, with random weights of its score.

    The score is read at the last token that is not padding.

    Args:
        folder: The policy's model folder.
        tokenizer: The policy's tokenizer, whose padding token the model uses.
        seed: Seed of the score's weights.

    Returns:
        The reward model.

    Raises:
        UserError: The folder contains no policy, one without a sequence classifier, or lacks a weight of the trunk.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed

    model_files(folder)
    check_kind(folder, "policy")
    check_can_score(folder, load_config(folder))
    set_seed(seed)
    model, differences = load_weights(AutoModelForSequenceClassification, folder, torch.float32, num_labels=1)
    trunk = f"{model.base_model_prefix}."
    # The files lack the new score, and the policy's output layer is not needed.
    missing = tuple(name for name in differences.missing if name.startswith(trunk))
    needless = tuple(name for name in differences.unexpected if name.startswith(trunk) or is_wrapped(name))
    require_complete(folder, Differences(missing, needless, differences.mismatched))
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def load_config(folder: Path) -> "PreTrainedConfig":
    """The configuration of a model folder."""
    from transformers import AutoConfig

    _require_folder(folder)
    read_config(folder)
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the libraries raise on it
        raise unreadable(folder, "the model's configuration", error) from error


def check_kind(folder: Path, kind: Kind) -> None:
    """Raises UserError unless the model is of this kind according to the folder's config.json."""
    config = read_config(folder)
    name = architecture(config)
    scores = len(config.get("id2label") or {"0": "", "1": ""})
    kind_found = "reward" if name.endswith("ForSequenceClassification") else "policy"
    if name.endswith("ForMaskedLM"):
        raise UserError(
            f"{folder}: {name} reads the text after a token too, so it cannot write; take a causal language model"
        )
    if kind_found != kind:
        raise UserError(f"{folder}: holds a {kind_found} model ({name}) where a {kind} model is needed")
    if kind == "reward" and scores != 1:
        raise UserError(f"{folder}: a reward model has one score, this one has {scores} (num_labels in config.json)")


def check_can_score(folder: Path, config: "PreTrainedConfig") -> None:
    """Raises UserError if transformers has no sequence classifier for a policy's architecture, to be a reward model."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise UserError(
            f"{folder}: no reward model can start from it, because transformers has no sequence classifier for "
            f"{config.model_type}; remove `reward` and `ppo` from its recipes, or take a policy of another architecture"
        )


def context_length(config: "PreTrainedConfig") -> int:
    """The context length of a model, in tokens; `UNLIMITED` for a recurrent model without a limit."""
    text = config.get_text_config()
    lengths = [getattr(text, name, None) for name in CONTEXT]
    return next((int(length) for length in lengths if length is not None), UNLIMITED)


def check_length(folder: Path, config: "PreTrainedConfig", max_length: int) -> None:
    """Raises UserError if texts of `max_length` tokens do not fit the model's context.

    Args:
        folder: the model's folder, for the message.
        config: its configuration.
        max_length: tokens of the longest text.
    """
    if max_length > context_length(config):
        raise UserError(
            f"max_length: {max_length} tokens do not fit the context of {folder}, which is {context_length(config)}; "
            "lower max_length or take a model with a longer context"
        )


def check_new_tokens(folder: Path, config: "PreTrainedConfig", max_new_tokens: int) -> None:
    """Raises UserError if a reply of `max_new_tokens` tokens leaves no room for a prompt in the model's context.

    Args:
        folder: the model's folder, for the message.
        config: its configuration.
        max_new_tokens: tokens of the longest reply.
    """
    if max_new_tokens >= context_length(config):
        raise UserError(
            f"max_new_tokens: {max_new_tokens} leaves no room for a prompt in the context of {folder}, which is "
            f"{context_length(config)}; lower max_new_tokens or take a model with a longer context"
        )


def choose_bf16(precision: Precision) -> bool:
    """Whether to compute in bf16: as set by `precision`; for `auto`, on a GPU that supports it."""
    import torch

    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder")

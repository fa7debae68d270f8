"""Loads GGUF files (llama.cpp's format) with transformers, whose reader dequantizes the weights."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import sha256_file
from trustdag.errors import UserError, first_line
from trustdag.models.load import complete_tokenizer
from trustdag.models.weights import file_structure, load_file, make_savable, require_complete

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_gguf(path: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The language model and the tokenizer in a GGUF file that `check_gguf` accepts.

    Returns:
        The dequantized model in fp32, and the tokenizer.

    Raises:
        UserError: transformers cannot read it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model, differences = load_file(AutoModelForCausalLM, path, torch.float32)
    require_complete(path, differences)
    make_savable(path, model)
    return model, _tokenizer(path)


def gguf_structure(path: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """As `load_gguf`, without the values of the weights.

    Returns:
        The model on the device `meta`, and the tokenizer.
    """
    return _structure(path), _tokenizer(path)


def parameters_in_gguf(path: Path) -> int:
    """Number of weights in a file that `check_gguf` accepts. Raises UserError if transformers cannot read it."""
    return int(_structure(path).num_parameters())


def _structure(path: Path) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM

    return file_structure(AutoModelForCausalLM, path)


def check_gguf(path: Path, sha256: str) -> None:
    """Raises UserError if the file is missing or another one, or the package `gguf` is not installed."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    digest = sha256_file(path)
    if digest != sha256:
        raise UserError(f"{path}: its SHA-256 is {digest}, not the {sha256} of the settings; correct one of them")
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"{path}: reading it needs the package gguf; install it: pip install 'trustdag[gguf]'")


def _tokenizer(path: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name, local_files_only=True)
    except Exception as error:  # whatever the libraries raise on it
        raise UserError(f"{path}: no tokenizer can be read from it ({first_line(error)})") from error
    tokenizer.name_or_path = str(path)
    return complete_tokenizer(path, tokenizer)

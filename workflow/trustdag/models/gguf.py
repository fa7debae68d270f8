"""Loads GGUF files (llama.cpp's format) with transformers, whose reader dequantizes the weights."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import sha256_file
from trustdag.errors import UserError, first_line
from trustdag.models.load import complete_tokenizer
from trustdag.models.weights import load_file, make_savable, require_complete

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_gguf(path: Path, sha256: str) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The language model and the tokenizer in a GGUF file.

    Args:
        path: The file.
        sha256: The required digest of the file.

    Returns:
        The dequantized model in fp32, and the tokenizer.

    Raises:
        UserError: The file is missing or another one, transformers cannot read its architecture, or the package `gguf`
            is not installed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    digest = sha256_file(path)
    if digest != sha256:
        raise UserError(f"{path}: its SHA-256 is {digest}, not the {sha256} of the settings; correct one of them")
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"{path}: reading it needs the package gguf; install it: pip install 'trustdag[gguf]'")
    folder, name = str(path.parent), path.name
    model, differences = load_file(AutoModelForCausalLM, path, torch.float32)
    require_complete(path, differences)
    make_savable(path, model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name, local_files_only=True)
    except Exception as error:  # whatever the libraries raise on it
        raise UserError(f"{path}: no tokenizer can be read from it ({first_line(error)})") from error
    tokenizer.name_or_path = str(path)
    return model, complete_tokenizer(path, tokenizer)

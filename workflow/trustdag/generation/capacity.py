"""Checks that memory suffices for generation, before the weights are loaded."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.generation.settings import GenerateSettings
from trustdag.models.load import load_config
from trustdag.models.size import DOUBLE, GB, SINGLE, Memory, check_loads, in_words, parameters_in_folder

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

HALF = 2
"""Bytes of a weight in bf16."""


def check_memory(folder: Path, settings: GenerateSettings, memory: Memory, bf16: bool) -> None:
    """Prints a warning on stderr if a whole batch may not fit in memory.

    Args:
        folder: The model folder, whose files are whole.
        settings: How replies are sampled.
        memory: The available memory.
        bf16: Whether the model computes in bf16, as on a GPU. If not, near ties are computed in double precision.

    Raises:
        UserError: The weights alone do not fit.
    """
    parameters, width = parameters_in_folder(folder), HALF if bf16 else DOUBLE
    check_loads(folder, parameters, memory, HALF if bf16 else SINGLE)
    token = cache_bytes(load_config(folder), width)
    needed = width * parameters + token * settings.batch_tokens
    if memory.holds(needed):
        return
    fitting = int((memory.size - width * parameters) // token)
    mend = f"`batch_tokens: {fitting}` would fit" if fitting > 0 else "take a smaller model, or more memory"
    precision = "" if bf16 else ", computed in double precision where two tokens are close,"
    print(
        f"{folder}: {in_words(parameters)}{precision} and keys and values of {settings.batch_tokens} tokens may need "
        f"{needed / GB:.3g} GB of memory, {memory.owner} has {memory.size / GB:.3g} GB; {mend}",
        file=sys.stderr,
    )


def cache_bytes(config: "PreTrainedConfig", width: int) -> int:
    """Bytes of the keys and values of one token in all layers, each number in `width` bytes."""
    text = config.get_text_config()
    heads = text.num_attention_heads
    kept = getattr(text, "num_key_value_heads", None) or heads
    return int(2 * text.num_hidden_layers * (text.hidden_size // heads) * kept * width)

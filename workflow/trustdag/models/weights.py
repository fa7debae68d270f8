"""Loads a model's weights. Raises an error unless every weight comes from the files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.errors import UserError, first_line
from trustdag.jsonfiles import EVERY, FETCH, read_object
from trustdag.models.base import MOST_LAYERS, model_files, read_config, unreadable
from trustdag.models.headers import Stored, safetensors_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PREFIXES = ("module.", "base_model.model.", "pretrained_model.")
"""Prefixes of weights from wrappers: DistributedDataParallel, peft, TRL's value heads."""
INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.")
"""Parts of names from wrappers of single layers too: torch.compile, FSDP, activation checkpointing, Lightning."""
UNMERGED = ".lora_"
"""Part of the names of an adapter's weights inside a model."""
INDEX = "model.safetensors.index.json"
SIZES = frozenset(
    {"hidden_size", "n_embd", "d_model", "dim", "intermediate_size", "n_inner", "ffn_dim", "d_ff", "vocab_size",
     "n_positions", "num_attention_heads", "n_head", "num_heads", "num_key_value_heads", "head_dim"}
)  # fmt: skip
"""Names of sizes in configurations, none of which is above the numbers in the largest weight."""
STORED = frozenset({"F64", "F32", "F16", "BF16"})
"""Types of stored weights that have their values without a scale."""
VALUE_HEAD = "v_head."
"""Weights of TRL's value head, which no language model has."""
BEYOND_SAMPLING = ("early_stopping", "length_penalty")
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")
"""Flags of generation_config.json that trustdag does not use, because a study sets the sampling of replies."""


@dataclass(frozen=True)
class Differences:
    """Differences between a model's weights and its files. transformers would initialize missing weights randomly."""

    missing: tuple[str, ...]
    """Weights of the model that no file contains."""
    unexpected: tuple[str, ...]
    """Weights in the files that the model does not have."""
    mismatched: tuple[str, ...]
    """Weights with different shapes in files and model, with both shapes."""

    def prefix(self) -> str:
        """What stands before all unexpected names, without which some are missing ones; empty if there is none."""
        parts = self.unexpected[0].split(".") if self.unexpected else []
        for count in range(1, len(parts)):
            prefix = ".".join(parts[:count]) + "."
            bare = {name.removeprefix(prefix) for name in self.unexpected}
            if bare & set(self.missing) and all(name.startswith(prefix) for name in self.unexpected):
                return prefix
        return ""


def unwrapped(name: str) -> str:
    """A weight's name without what wrappers add."""
    for part in INSIDE:
        name = name.replace(part, "")
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name


def is_wrapped(name: str) -> bool:
    """Whether a wrapper has written the name of a weight, or the weight itself."""
    return unwrapped(name) != name or name.startswith(VALUE_HEAD)


def load_weights(
    auto_class: Any, folder: Path, dtype: "torch.dtype", device: str | None = None, **options: Any
) -> "tuple[PreTrainedModel, Differences]":
    """Loads a model from safetensors, without network access and without code from the folder.

    Args:
        auto_class: A transformers class such as `AutoModelForCausalLM`.
        folder: The model folder.
        dtype: Precision of the weights in memory.
        device: `meta` reads names and shapes of the weights alone, in no memory. None: the CPU.
        **options: Values of the configuration that differ from the folder's.

    Returns:
        The model, and its differences from the files.

    Raises:
        UserError: A file is missing, damaged, or does not fit the configuration.
    """
    from transformers import AutoConfig

    check_weight_files(folder)
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # whatever the libraries raise on it
        raise unreadable(folder, "the model", error) from error
    # What a forward pass returns is no property of the model.
    config.return_dict, config.output_hidden_states, config.output_attentions = True, False, False
    # The library's own attention: the file may name a repository of the hub, whose code transformers would run.
    return _load(
        auto_class, folder, folder, dtype=dtype, use_safetensors=True, config=config, attn_implementation=None,
        device_map=device,
    )  # fmt: skip


def load_file(auto_class: Any, path: Path, dtype: "torch.dtype") -> "tuple[PreTrainedModel, Differences]":
    """Loads a model from one GGUF file.

    Args:
        auto_class: A transformers class such as `AutoModelForCausalLM`.
        path: The file.
        dtype: Precision of the weights in memory.

    Returns:
        The model, and its differences from the file.

    Raises:
        UserError: The file cannot be read.
    """
    from transformers import GgufConfig

    model, differences = _load(
        auto_class, path, path.parent, dtype=dtype, gguf_file=path.name, quantization_config=GgufConfig(dequantize=True)
    )
    # The weights are dequantized now, but a model with a quantizer cannot be saved.
    plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict())
    if hasattr(plain.config, "quantization_config"):
        del plain.config.quantization_config
    plain.generation_config = model.generation_config
    return plain.to(dtype).eval(), differences


def file_structure(auto_class: Any, path: Path) -> "PreTrainedModel":
    """The model of a GGUF file without the values of its weights. Raises UserError if transformers cannot read it."""
    import torch
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name, local_files_only=True)
        layers = config.get_text_config().num_hidden_layers
        if layers > MOST_LAYERS:
            raise ValueError(f"its header says {layers:,} layers")
        with torch.device("meta"):
            model: PreTrainedModel = auto_class.from_config(config)
    except Exception as error:  # whatever the libraries raise on it
        raise UserError(
            f"{path}: the model cannot be loaded ({first_line(error)}); fetch it again, or take the model as a folder"
        ) from error
    return model


def _load(auto_class: Any, source: Path, folder: Path, **options: Any) -> "tuple[PreTrainedModel, Differences]":
    try:
        with _no_load_report():
            model, info = auto_class.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, output_loading_info=True,
                ignore_mismatched_sizes=True, **options,
            )  # fmt: skip
    except Exception as error:  # whatever the libraries raise on it
        raise UserError(f"{source}: the model cannot be loaded ({first_line(error)})") from error
    shapes = sorted(f"{name} {tuple(stored)}, not {tuple(own)}" for name, stored, own in info["mismatched_keys"])
    return model, Differences(
        tuple(sorted(info["missing_keys"])), tuple(sorted(info["unexpected_keys"])), tuple(shapes)
    )


def load_complete(auto_class: Any, folder: Path, dtype: "torch.dtype", device: str | None = None) -> "PreTrainedModel":
    """The model of a folder. Raises UserError unless the files contain exactly its weights.

    Args:
        auto_class: a class of transformers, such as AutoModelForCausalLM.
        folder: the model's folder.
        dtype: type of the weights in memory.
        device: as in `load_weights`.
    """
    model, differences = load_weights(auto_class, folder, dtype, device)
    require_complete(folder, differences)
    _correct_tied_flag(model)
    return model


def _correct_tied_flag(model: "PreTrainedModel") -> None:
    """Sets `tie_word_embeddings` to false if the files contain a separate head that differs from the embeddings.

    transformers does not tie such a head with either value, but another reader of the saved model might.
    """
    head = model.get_output_embeddings()
    config = model.config.get_text_config()
    if head is not None and config.tie_word_embeddings and head.weight is not model.get_input_embeddings().weight:
        config.tie_word_embeddings = model.config.tie_word_embeddings = False


def require_complete(folder: Path, differences: Differences) -> None:
    """Raises UserError for any difference. It names the first weight of each kind, their number, and the remedy."""
    refuse_unmerged(folder, differences)
    wrapped = [name for name in differences.unexpected if is_wrapped(name) or differences.prefix()]
    parts = [
        f"{len(names)} {what}, the first is {names[0]}"
        for names, what in (
            (wrapped, "names of weights that a wrapper has written"),
            (differences.mismatched, "weights of another size than config.json says"),
            (differences.missing, "weights missing"),
            (differences.unexpected, "weights that the model does not have"),
        )
        if names
    ]
    if not parts:
        return
    mend = (
        f"take the wrapper off with `trustdag convert {folder} NEW_FOLDER`"
        if wrapped
        else "save it again with the class that config.json names in `architectures`, or correct config.json"
    )
    raise UserError(f"{folder}: the weights do not fit the model: {parts[0]}; {mend}")


def refuse_unmerged(folder: Path, differences: Differences) -> None:
    """Raises UserError for weights of an adapter among those of the model."""
    unmerged = [name for name in differences.unexpected if UNMERGED in name]
    if unmerged:
        raise UserError(
            f"{folder}: {len(unmerged)} weights of an adapter that was not merged, the first is {unmerged[0]}; save the"
            " model again after `model = model.merge_and_unload()`"
        )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers reads: those of the index, else model.safetensors."""
    index = folder / INDEX
    return [folder / name for name in _indexed(index)] if index.exists() else [folder / "model.safetensors"]


def _indexed(index: Path) -> list[str]:
    files = read_object(index, {"weight_map": {EVERY: str}}, "an index of weights", FETCH)["weight_map"]
    return sorted(set(files.values()))


def check_weight_files(folder: Path) -> None:
    """Raises UserError unless the folder holds whole safetensors files, all that its index names, and its config fits.

    Only headers are read: nothing of the size that config.json claims is made before it is known to be there.
    """
    files = model_files(folder)
    index = folder / INDEX
    if index.exists():
        _check_index(folder, index)
    elif not (folder / "model.safetensors").is_file():
        part = next(path.name for path in files if path.suffix == ".safetensors")
        raise UserError(f"{folder}: {part} stands without {INDEX}, which says what is in which file; fetch it again")
    stored: dict[str, Stored] = {}
    for path in weight_files(folder):
        held = safetensors_weights(path)
        twice = sorted(held.keys() & stored.keys())
        if twice:
            raise UserError(f"{folder}: {twice[0]} is in {path.name} and in another file; {FETCH}")
        stored |= held
    _check_types(folder, stored)
    _check_sizes(folder, [weight.shape for weight in stored.values()])


def _check_index(folder: Path, index: Path) -> None:
    """Raises UserError for an index that names files that are missing, outside of the folder, or no safetensors."""
    needed = _indexed(index)
    for name in needed:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UserError(f"{index}: names {name!r:.80}, which is no .safetensors file of this folder; {FETCH}")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of {len(needed)} weight files are missing, the first is {missing[0]}; "
            "fetch them again"
        )
    if "model.safetensors" not in needed and (folder / "model.safetensors").is_file():
        raise UserError(
            f"{folder}: model.safetensors and {INDEX}, which names other files, are two sets of weights; remove the one"
            " that is not meant"
        )


def _check_types(folder: Path, stored: Mapping[str, Stored]) -> None:
    """Raises UserError for quantized weights, whose numbers mean nothing without their scales."""
    quantized = sorted(
        name for name, weight in stored.items() if weight.dtype not in STORED and name.endswith("weight")
    )
    settings = read_config(folder).get("quantization_config")
    if not quantized and not settings:
        return
    method = settings.get("quant_method") if isinstance(settings, dict) else None
    what = (
        f"{quantized[0]} is {stored[quantized[0]].dtype}" if quantized else f"quantization_config: {method or settings}"
    )
    raise UserError(
        f"{folder}: quantized weights ({what:.80}); take the model with its original weights, or a GGUF file of it,"
        " which is dequantized"
    )


def _check_sizes(folder: Path, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises UserError where config.json asks for more than any weight holds: it would be made before it is missed."""
    largest = max((prod(shape) for shape in shapes), default=0)
    config = read_config(folder)
    for section in (config, *(value for value in config.values() if isinstance(value, dict))):
        for name in sorted(SIZES & section.keys()):
            size = section[name]
            if size is not None and not (isinstance(size, int) and 0 <= size <= largest):
                raise UserError(
                    f"{folder}/config.json: {name}: {size!r:.40} does not fit the weights, of which the largest has"
                    f" {largest:,} numbers; correct it, or fetch the folder again"
                )


def require_finite(source: Path, model: "PreTrainedModel") -> None:
    """Raises UserError for a weight that has a NaN or an infinite number."""
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise UserError(
                f"{source}: {name} has numbers that are not finite; the file is damaged, or the model diverged: {FETCH}"
            )


def require_causal(source: Path, model: "PreTrainedModel") -> None:
    """Raises UserError for a language model whose predictions depend on later tokens, such as BERT's."""
    import torch

    size = model.get_input_embeddings().num_embeddings
    texts = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 6, 7]], device=model.device) % size
    with torch.no_grad():
        one, other = model(input_ids=texts, use_cache=False).logits[:, :3].double()
    if not (one.isfinite().all() and other.isfinite().all()):
        raise UserError(f"{source}: the model's predictions are not finite numbers; correct config.json, or {FETCH}")
    if not torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max())):
        raise UserError(
            f"{source}: the model's predictions depend on later tokens, so it cannot write; take a causal language "
            "model"
        )


def make_savable(folder: Path, model: "PreTrainedModel") -> None:
    """Removes sampling flags from a generation configuration that cannot be saved, which would fail at the end.

    Raises UserError if it cannot be saved without them either.
    """
    config = getattr(model, "generation_config", None)
    if config is None:
        return
    try:
        config.validate(strict=True)
    except ValueError:
        for name in (*SAMPLING, *BEYOND_SAMPLING):
            if getattr(config, name, None) is not None:
                setattr(config, name, None)
        try:
            config.validate(strict=True)
        except ValueError as error:
            raise UserError(
                f"{folder}/generation_config.json: transformers does not save it again ({first_line(error)}); "
                "correct it or remove the file"
            ) from error


@contextmanager
def _no_load_report() -> Iterator[None]:
    """Hides transformers' table of missing weights, because the error names them in one line."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)

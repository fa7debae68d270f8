"""Converts checkpoints of wrappers to model folders: merges an adapter into its base, or strips prefixes of weights."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import atomic_folder
from trustdag.errors import UserError, first_line
from trustdag.jsonfiles import FETCH, read_object
from trustdag.models.base import (
    ADAPTER,
    ADAPTER_WEIGHTS,
    TAKEN,
    architecture,
    has_weights,
    read_config,
    refuse_links_outside,
)
from trustdag.models.headers import safetensors_weights
from trustdag.models.weights import (
    INDEX,
    STORED,
    VALUE_HEAD,
    check_weight_files,
    is_wrapped,
    load_weights,
    refuse_unmerged,
    unwrapped,
    weight_files,
)

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


SAME = 1e-3
"""Largest difference in the predictions of a merged adapter, relative to the largest one."""


def convert(folder: Path, out: Path, base: Path | None) -> None:
    """Writes `folder` as a model folder of safetensors to `out`, with its tokenizer.

    Args:
        folder: An adapter of peft, or a model whose names of weights a wrapper has changed.
        out: The new folder.
        base: Base model of an adapter. None: the folder itself, if it contains full weights.

    Raises:
        UserError: There is nothing to convert, or the folder cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such model folder")
    if out.exists():
        raise UserError(f"{out}: exists already; name a new folder")
    with atomic_folder(out) as partial:
        if (folder / ADAPTER).is_file():
            _merge_adapter(folder, partial, base)
        else:
            _strip_prefixes(folder, partial)


def _merge_adapter(folder: Path, out: Path, base: Path | None) -> None:
    """Writes the base model with the adapter merged."""
    from peft import PeftModel

    from trustdag.models.load import load_policy, load_reward

    settings = read_object(folder / ADAPTER, {}, "the settings of an adapter", FETCH)
    weights = folder / f"{ADAPTER_WEIGHTS}.safetensors"
    if not weights.is_file():
        raise UserError(f"{folder}: no {ADAPTER_WEIGHTS}.safetensors; save the adapter as safetensors")
    quantized = [name for name, weight in safetensors_weights(weights).items() if weight.dtype not in STORED]
    if quantized:
        raise UserError(f"{weights}: quantized ({quantized[0]}); take the adapter with its original weights")
    if base is None and not has_weights(folder):
        raise UserError(
            f"{folder}: the adapter's base model is {settings.get('base_model_name_or_path')}; give its local folder "
            "as `--base FOLDER`"
        )
    base = base or folder
    load = load_reward if settings.get("task_type") == "SEQ_CLS" else load_policy
    with TemporaryDirectory() as name:
        _link_without_adapter(base, Path(name))
        try:
            model = load(Path(name))
        except UserError as error:
            raise UserError(str(error).replace(name, str(base))) from error
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
    except Exception as error:  # whatever the libraries raise on it
        raise UserError(f"{folder}: the adapter does not fit {base} ({first_line(error)})") from error
    _require_whole(folder, base, adapted)
    _merged(folder, adapted).save_pretrained(str(out))
    for source in (folder, base):
        _copy_small(source, out)


def _merged(folder: Path, adapted: "PeftModel") -> "PreTrainedModel":
    """The base model with the adapter's changes. Raises UserError unless it computes what both compute together."""
    import torch

    def predictions(model: Any) -> torch.Tensor:
        ids = torch.arange(16)[None] % adapted.get_base_model().config.get_text_config().vocab_size
        with torch.no_grad():
            logits: torch.Tensor = model.eval()(input_ids=ids).logits
        return logits

    if not hasattr(adapted.base_model, "merge_and_unload"):
        kind = adapted.active_peft_config.peft_type.value
        raise UserError(f"{folder}: an adapter of the kind {kind}, which cannot be merged; take another model")
    wanted = predictions(adapted)
    try:
        merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise UserError(f"{folder}: the adapter cannot be merged ({first_line(error)}); {FETCH}") from error
    gap = (predictions(merged) - wanted).abs().max()
    if not gap <= SAME * wanted.abs().max():
        raise UserError(
            f"{folder}: merged with its base, the adapter computes something else (by {gap:.2g}), such as one of the "
            "embeddings where the output layer is tied to them; merge it where it was trained"
        )
    return merged


def _require_whole(folder: Path, base: Path, adapted: "PeftModel") -> None:
    """Raises UserError unless a file has exactly the adapter's weights: peft makes up missing ones and drops others."""
    from peft import get_peft_model_state_dict

    stored = safetensors_weights(folder / f"{ADAPTER_WEIGHTS}.safetensors").keys()
    needed = get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
    missing, unexpected = sorted(needed - stored), sorted(stored - needed - adapted.state_dict().keys())
    if missing or unexpected:
        names, what = (missing, "are missing") if missing else (unexpected, f"are not of {base}")
        raise UserError(
            f"{folder}: {len(names)} weights of the adapter {what}, the first is {names[0]}; give the base model that"
            " it was trained on, or fetch the adapter again"
        )


def _strip_prefixes(folder: Path, out: Path) -> None:
    """Writes the model without the wrapper's prefixes of weights and without a value head."""
    from safetensors.torch import load_file, save_file

    check_weight_files(folder)
    prefix = _other_prefix(folder)
    weights: dict[str, torch.Tensor] = {}
    changed = False
    for path in weight_files(folder):
        for name, value in load_file(str(path)).items():
            plain = unwrapped(name.removeprefix(prefix))
            if plain in weights:
                raise UserError(f"{folder}: two weights would be {plain}, one of them {name}; remove the one not meant")
            changed |= plain != name or plain.startswith(VALUE_HEAD)
            if not plain.startswith(VALUE_HEAD):
                weights[plain] = value
    if not changed:
        raise UserError(f"{folder}: nothing to convert: no adapter, and no name of a weight is a wrapper's")
    save_file(weights, str(out / "model.safetensors"), metadata={"format": "pt"})
    _copy_small(folder, out)


def _other_prefix(folder: Path) -> str:
    """The prefix of names of weights from a wrapper that is not known; empty if there is none.

    Raises UserError for an adapter's weights among the model's.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    reward = architecture(read_config(folder)).endswith("ForSequenceClassification")
    auto_class = AutoModelForSequenceClassification if reward else AutoModelForCausalLM
    _, differences = load_weights(auto_class, folder, torch.float32, "meta")
    refuse_unmerged(folder, differences)
    return "" if any(map(is_wrapped, differences.unexpected)) else differences.prefix()


def _link_without_adapter(source: Path, target: Path) -> None:
    """Links the files of a base model into an empty folder, without an adapter in the same folder."""
    if not source.is_dir():
        raise UserError(f"{source}: no such model folder; correct `--base`")
    for path in source.glob("*.safetensors"):
        if not path.name.startswith("adapter_"):
            (target / path.name).symlink_to(path.resolve())
    _copy_small(source, target)
    if (source / INDEX).is_file():
        shutil.copyfile(source / INDEX, target / INDEX)


def _copy_small(source: Path, target: Path) -> None:
    """Copies tokenizer and configuration files that `target` lacks, without weights, adapter and index."""
    refuse_links_outside(source)
    for path in sorted(source.iterdir()):
        small = path.suffix in TAKEN and path.suffix != ".safetensors" and not path.name.endswith(".index.json")
        if path.is_file() and small and not path.name.startswith("adapter_") and not (target / path.name).exists():
            shutil.copyfile(path, target / path.name)

"""A generation job: from one vertical's items and a model folder to replies."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import sha256_text, write_table
from trustdag.errors import UserError
from trustdag.fingerprint import code_of
from trustdag.generation.capacity import check_memory
from trustdag.generation.context_fit import ContextFit
from trustdag.generation.settings import GenerateSettings
from trustdag.generation.tables import items_digest, read_items
from trustdag.models.dialogue import PromptFormat
from trustdag.models.size import Memory
from trustdag.models.weights import check_weight_files
from trustdag.seals import model_digest
from trustdag.stamps import stamp

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class GenerationTask:
    """A vertical's items and how their replies are sampled."""

    vertical: str
    items: Path
    settings: GenerateSettings


def generate(task: GenerationTask, model: Path, prompt_format: PromptFormat, out: Path) -> None:
    """Generates the model's replies to every item and writes them to `out`, atomically.

    Until then finished replies are in a hidden file next to `out`, from which a killed run resumes.

    Args:
        task: The items and how replies to them are sampled.
        model: The model folder.
        prompt_format: How a prompt is rendered.
        out: The Parquet file to write, one row for each sample or option.

    Raises:
        UserError: The items or the model cannot be used.
    """
    from trustdag.generation.engine import Engine
    from trustdag.models.load import check_new_tokens, choose_bf16, context_length, load_config
    from trustdag.models.threads import use_threads

    items = read_items(task.items)
    check_weight_files(model)
    check_new_tokens(model, load_config(model), task.settings.max_new_tokens)
    check_memory(model, task.settings, Memory.of_device(), choose_bf16("auto"))
    made_from = {
        "items": items_digest(items),
        "model": model_digest(model),
        "generate": task.settings.results_json(),
        "prompt_format": prompt_format,
        "code": code_of("generation.run"),
        "threads": str(use_threads()),
    }
    key = sha256_text([json.dumps(made_from, sort_keys=True)])
    policy, tokenizer = _load(model, prompt_format)
    partial = out.with_name(f".{out.name}.partial.jsonl")
    engine = Engine(policy, tokenizer, prompt_format, task.settings)
    replies = engine.generate(items, partial, key, task.vertical)
    said = ContextFit.of_replies(replies).sentence(model, context_length(policy.config))
    if said:
        print(f"{task.vertical}: {said}", file=sys.stderr)
    stamp(replies, made_from)
    write_table(out, replies)
    partial.unlink(missing_ok=True)


def _load(model: Path, prompt_format: PromptFormat) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    import torch

    from trustdag.models.load import choose_bf16, load_policy, load_tokenizer

    tokenizer = load_tokenizer(model)
    if prompt_format == "chat" and not tokenizer.chat_template:
        raise UserError(f"{model}: the tokenizer has no chat template; set prompt_format to hh or plain")
    policy = load_policy(model, torch.bfloat16 if choose_bf16("auto") else torch.float32)
    return policy.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer

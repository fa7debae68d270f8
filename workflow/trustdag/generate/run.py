"""Generation jobs: items and a model folder in, replies out. One model may answer several verticals in one job."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.artifacts import atomic_file, model_digest, sha256_file, sha256_text
from trustdag.errors import UserError
from trustdag.fingerprint import code_of
from trustdag.generate.settings import GenerateSettings
from trustdag.generate.tables import read_items
from trustdag.models.dialogue import Format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Question:
    """A vertical's items and how their replies are sampled."""

    vertical: str
    items: Path
    settings: GenerateSettings

    def key(self, model: Path, style: Format) -> str:
        """A digest of all that the replies depend on; `batch_tokens` changes none of them."""
        chosen = self.settings.model_dump_json(exclude={"batch_tokens"})
        return sha256_text([sha256_file(self.items), model_digest(model), chosen, style])

    def staged(self, staging: Path, model: Path, style: Format) -> Path:
        """Where `ask` leaves the replies for `collect`: under a name that holds the key."""
        return staging / f"{self.vertical}-{self.key(model, style)[:16]}.parquet"


def generate(question: Question, model: Path, style: Format, out: Path) -> None:
    """Asks the model every item and writes the replies to `out`, atomically.

    Finished replies are kept in a hidden file beside `out` until then: a killed run goes on where it stopped.
    Raises UserError for items or a model that cannot be used.
    """
    read_items(question.items)
    _answer(question, model, style, *_load(model, style), out)


def ask(questions: Sequence[Question], model: Path, style: Format, staging: Path) -> None:
    """Answers every question whose replies are not in `staging` yet, with one load of the model.

    The queue of a cluster and the load of a model are paid once, and a re-run of one vertical asks that one alone.
    """
    pending = [question for question in questions if not _by_this_code(question.staged(staging, model, style))]
    for question in pending:
        read_items(question.items)
    if pending:
        loaded = _load(model, style)
        for question in pending:
            staged = question.staged(staging, model, style)
            _answer(question, model, style, *loaded, staged)
            with atomic_file(_code_file(staged)) as partial:
                partial.write_text(code_of("generate.run"), encoding="utf-8")


def _by_this_code(staged: Path) -> bool:
    """Whether the replies are there and were made by the code that is running."""
    code = _code_file(staged)
    return staged.exists() and code.exists() and code.read_text(encoding="utf-8") == code_of("generate.run")


def _code_file(staged: Path) -> Path:
    return staged.with_suffix(".code")


def collect(question: Question, model: Path, style: Format, staging: Path, out: Path) -> None:
    """Links the replies that `ask` left in `staging` to their place. Raises UserError if there are none."""
    staged = question.staged(staging, model, style)
    if not staged.exists():
        raise UserError(
            f"{staged}: no such replies; delete {staging} and run snakemake again, which asks the model anew"
        )
    with atomic_file(out) as partial:
        os.link(staged, partial)


def _load(model: Path, style: Format) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    import torch

    from trustdag.models.load import choose_bf16, load_policy, load_tokenizer

    tokenizer = load_tokenizer(model)
    if style == "chat" and not tokenizer.chat_template:
        raise UserError(f"{model}: the tokenizer has no chat template; ask this model in format `hh` or `plain`")
    policy = load_policy(model, torch.bfloat16 if choose_bf16("auto") else torch.float32)
    return policy.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def _answer(
    question: Question,
    model: Path,
    style: Format,
    policy: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    out: Path,
) -> None:
    from trustdag.generate.engine import Engine
    from trustdag.models.load import context_length

    partial = out.with_name(f".{out.name}.partial.jsonl")
    engine = Engine(policy, tokenizer, style, question.settings)
    key = sha256_text([question.key(model, style), code_of("generate.run")])
    replies = engine.ask(read_items(question.items), partial, key, question.vertical)
    beyond = replies.loc[replies["status"] == "too_long", "item"].nunique()
    if beyond:
        print(
            f"{question.vertical}: {beyond} of {replies['item'].nunique()} items do not fit the model's context of "
            f"{context_length(policy.config)} tokens; they count as failed",
            file=sys.stderr,
        )
    with atomic_file(out) as path:
        replies.to_parquet(path, index=False)
    partial.unlink(missing_ok=True)

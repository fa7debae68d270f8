"""Sampled replies and likelihoods of options, for any model and any items, in batches. A killed run can be resumed."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial as bind
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from trustdag.generation.batches import GenerationRequest, plan, run_within_memory
from trustdag.generation.partial import PartialReplies, ReplyRow
from trustdag.generation.progress import ReplyProgress
from trustdag.generation.prompts import EncodedItem, encode_items, until_stop
from trustdag.generation.settings import GenerateSettings
from trustdag.models.dialogue import PromptFormat
from trustdag.models.load import context_length
from trustdag.models.tokens import end_tokens, stop_texts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trustdag.generation.decode import Decoded, DecodingRules, State

READ_ON_CPU = 4096
"""Largest number of tokens in a forward pass on a CPU: 1.6 times as fast as 16,384 (docs/performance.md)."""
TIE = 5e-5
"""A margin below this share of the largest logit may be a rounding error; single precision's was measured as 7e-7."""
COLUMNS = {
    "item": "string", "kind": "string", "sample": "int64", "reply": "string", "logprob": "float64",
    "tokens": "int64", "ended": "bool", "status": "string",
}  # fmt: skip


class Engine:
    """A model with its tokenizer, the prompt format and the sampling settings.

    On a CPU, a reply does not depend on its batch. Rounding errors of single precision do depend on the shape of the
    batch. They change about one token in a hundred thousand, and so the rest of that reply. Two kinds of replies are
    therefore computed in double precision: replies in which two tokens almost tied (margin below `tie`) are computed a
    second time; and so are all replies sampled from a nucleus, as rounding may also change the set. Likelihoods are
    computed in single precision, because no choice depends on them.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        prompt_format: PromptFormat,
        settings: GenerateSettings,
        tie: float = TIE,
    ) -> None:
        """Prepares the model for generation.

        Args:
            model: The model, on its device. On a CPU its attention and linear layers are replaced by faster ones.
            tokenizer: The model's tokenizer.
            prompt_format: How a prompt is rendered.
            settings: How replies are sampled.
            tie: On a CPU, a reply with a smaller margin is computed again in double precision.
        """
        import torch

        from trustdag.models.attention import use_blocks
        from trustdag.models.cpu import keep_freed_memory, use_onednn

        self.model, self.tokenizer, self.prompt_format, self.settings = model, tokenizer, prompt_format, settings
        self.on_cpu = model.device.type == "cpu"
        self.batch_tokens = settings.batch_tokens
        self.read_tokens = READ_ON_CPU if self.on_cpu else None
        self.tie = tie
        self.end_tokens = end_tokens(tokenizer, model.generation_config, prompt_format)
        self.stop = stop_texts(tokenizer, prompt_format)
        self._nucleus = settings.temperature > 0 and settings.top_p < 1
        if self.on_cpu:
            model.to(torch.float32)
            use_onednn(model)
            use_blocks(model)
            keep_freed_memory()

    def generate(self, items: pd.DataFrame, partial: Path, key: str, name: str = "replies") -> pd.DataFrame:
        """Generates every reply to every item and computes every likelihood.

        Args:
            items: A vertical's items, with the columns `tables.ITEM_COLUMNS`.
            partial: The file that keeps finished replies. The caller removes it once the result is stored.
            key: A digest of everything that the replies depend on. A partial file with the same key is continued.
            name: Start of the progress lines.

        Returns:
            One row for each sample or option, with the columns `tables.REPLY_COLUMNS`, in the items' order.

        Raises:
            UserError: An item has an empty prompt or option, or does not fit in memory by itself.
        """
        encoded = encode_items(items, self.tokenizer, self.prompt_format)
        with PartialReplies(partial, key) as store:
            done = {(reply["item"], reply["kind"], reply["sample"]) for reply in store.done}
            replies = list(store.done)
            left = [batch for batch in (_undone(batch, done) for batch in self._batches(encoded)) if batch]
            rows = sum(request.rows for batch in left for request in batch)
            progress = ReplyProgress(name, rows, sum(map(self._work, left)))
            ties: list[GenerationRequest] = []

            def answer(batch: list[GenerationRequest], ties: list[GenerationRequest] | None) -> None:
                for part in run_within_memory(batch, bind(self._run, ties=ties), is_out_of_memory):
                    store.add(part)
                    replies.extend(part)
                    progress.add(len(part), self._work(batch) * len(part) // sum(request.rows for request in batch))

            double = [batch for batch in left if self._needs_double(batch)]
            for batch in left:
                if not self._needs_double(batch):
                    answer(batch, ties if self.on_cpu else None)
            double += self._plan(ties)
            if double:
                with self._double_precision():
                    for batch in double:
                        answer(batch, None)
        return _frame(replies, list(items["item"]))

    def _needs_double(self, batch: list[GenerationRequest]) -> bool:
        """Whether the batch must be computed in double precision from the start."""
        return self.on_cpu and self._nucleus and bool(batch[0].samples)

    @contextmanager
    def _double_precision(self) -> Iterator[None]:
        """While active, the model is in double precision; afterwards in single precision again."""
        import torch

        self.model.to(torch.float64)
        try:
            yield
        finally:
            self.model.to(torch.float32)

    def _batches(self, items: list[EncodedItem]) -> list[list[GenerationRequest]]:
        """The plan of the whole run, finished requests included: a resumed run forms the same batches."""
        samples = tuple(range(self.settings.samples))
        at_once = [item for item in items if self._at_once(item)]
        apart = [item for item in items if not self._at_once(item)]
        generate = [GenerationRequest(item, samples) for item in apart if item.generate]
        likelihood = [GenerationRequest(item, (), True) for item in apart if item.options]
        return self._plan([GenerationRequest(item, samples, True) for item in at_once] + generate) + self._plan(
            likelihood
        )

    def _at_once(self, item: EncodedItem) -> bool:
        """Whether replies and likelihoods can share one pass over the prompt: same text and precision, and it fits."""
        both = item.generate and bool(item.options) and item.prompt == item.context
        return both and not (self.on_cpu and self._nucleus) and self._fits(GenerationRequest(item, (0,), True))

    def _plan(self, requests: list[GenerationRequest]) -> list[list[GenerationRequest]]:
        return plan(requests, self.batch_tokens, self.settings.max_new_tokens)

    def _work(self, batch: list[GenerationRequest]) -> int:
        """Tokens of the batch, for the estimate of the remaining time."""
        new = self.settings.max_new_tokens
        return sum(len(request.prompt) + len(request.samples) * (new - 1) + request.rows for request in batch)

    def _fits(self, request: GenerationRequest) -> bool:
        return request.fits(self.settings.max_new_tokens, context_length(self.model.config))

    def _run(self, batch: list[GenerationRequest], ties: list[GenerationRequest] | None) -> list[ReplyRow]:
        """The replies of one batch.

        Args:
            batch: The requests to compute.
            ties: Receives the requests for replies in which two tokens almost tied; these replies are not returned.
                None: all replies are returned.
        """
        from trustdag.generation.forward import prefill

        fits = [request for request in batch if self._fits(request)]
        replies = [reply for request in batch if not self._fits(request) for reply in _too_long(request)]
        if not fits:
            return replies
        ends = [len(option) for request in fits if request.likelihood for option in request.item.options]
        new = max([self.settings.max_new_tokens if any(request.samples for request in fits) else 0, *ends])
        prompts = [request.prompt for request in fits]
        state = prefill(self.model, prompts, max(map(len, prompts)) + new, self.read_tokens)
        if any(request.likelihood for request in fits):
            replies += self._likelihood(fits, state)
        if any(request.samples for request in fits):
            replies += self._sample(fits, state, ties)
        return replies

    def _sample(
        self, batch: list[GenerationRequest], state: "State", ties: list[GenerationRequest] | None
    ) -> list[ReplyRow]:
        import torch

        from trustdag.generation.decode import decode
        from trustdag.generation.forward import step_of
        from trustdag.generation.sampling import chooser

        owners = [(index, sample) for index, request in enumerate(batch) for sample in request.samples]
        rows = [(batch[index].item.item, sample) for index, sample in owners]
        with torch.inference_mode():
            if [index for index, _ in owners] != list(range(len(batch))):
                state = state.select(torch.tensor([index for index, _ in owners], device=self.model.device))
            choose = chooser(self.settings, rows, state.logits, len(self.tokenizer))
            decoded = _unpack(decode(step_of(self.model), state, choose, self._rules()), self.end_tokens)
        replies = []
        for (index, sample), row in zip(owners, decoded, strict=True):
            if ties is not None and row.margin < self.tie:
                ties.append(GenerationRequest(batch[index].item, (sample,)))
            else:
                replies.append(self._reply(batch[index].item.item, sample, row))
        return replies

    def _rules(self) -> "DecodingRules":
        from trustdag.generation.decode import DecodingRules

        return DecodingRules(
            self.settings.max_new_tokens,
            self.end_tokens,
            stopped=(lambda ids: until_stop(self._text(ids), self.stop) is not None) if self.stop else None,
        )

    def _reply(self, item: str, sample: int, row: "_SampledRow") -> ReplyRow:
        text, count, ended = self._text(row.tokens), len(row.tokens), row.ended
        cut = until_stop(text, self.stop)
        if cut is not None:
            text, ended = text[:cut], True
            count = next(n for n in range(count + 1) if len(self._text(row.tokens[:n])) >= cut)
        return _row(item, "generate", sample, text, sum(row.logprobs[:count]), count, ended)

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _likelihood(self, batch: list[GenerationRequest], state: "State") -> list[ReplyRow]:
        from trustdag.generation.forward import option_logprobs

        values = option_logprobs(
            self.model, state, [request.item.options if request.likelihood else () for request in batch]
        )
        return [
            _row(request.item.item, "likelihood", option, text, value, len(ids), True)
            for request, logprobs in zip(batch, values, strict=True)
            if request.likelihood
            for option, (text, ids, value) in enumerate(
                zip(request.item.texts, request.item.options, logprobs, strict=True)
            )
        ]


@dataclass(frozen=True)
class _SampledRow:
    """One row's new tokens, without the end token, and the log-probability of each."""

    tokens: list[int]
    logprobs: list[float]
    ended: bool
    margin: float
    """The smallest margin of its tokens, the end token included."""


def _unpack(decoded: "Decoded", end_tokens: tuple[int, ...]) -> list[_SampledRow]:
    rows = []
    for tokens, logprobs, margins, length, ended in zip(
        decoded.tokens.tolist(), decoded.logprobs.tolist(), decoded.extra.tolist(), decoded.lengths.tolist(),
        decoded.ended.tolist(), strict=True,
    ):  # fmt: skip
        count = length - (ended and tokens[length - 1] in end_tokens)
        rows.append(_SampledRow(tokens[:count], logprobs[:count], ended, min(margins[:length])))
    return rows


def _row(item: str, kind: str, sample: int, reply: str, logprob: float, tokens: int, ended: bool) -> ReplyRow:
    return {
        "item": item, "kind": kind, "sample": sample, "reply": reply, "logprob": logprob,
        "tokens": tokens, "ended": ended, "status": "ok",
    }  # fmt: skip


def _too_long(request: GenerationRequest) -> list[ReplyRow]:
    """One row for each reply of an item that does not fit the model's context."""
    kind = "generate" if request.samples else "likelihood"
    texts = [""] * len(request.samples) if request.samples else request.item.texts
    numbers = request.samples or range(len(texts))
    return [
        _row(request.item.item, kind, number, text, float("nan"), 0, False) | {"status": "too_long"}
        for number, text in zip(numbers, texts, strict=True)
    ]


def _undone(batch: list[GenerationRequest], done: set[tuple[str, str, int]]) -> list[GenerationRequest]:
    """The batch without the replies that an earlier, killed run finished."""
    left = []
    for request in batch:
        item = request.item.item
        samples = tuple(number for number in request.samples if (item, "generate", number) not in done)
        likelihood = request.likelihood and (item, "likelihood", 0) not in done
        left += [GenerationRequest(request.item, samples, likelihood)] if samples or likelihood else []
    return left


def _frame(replies: list[ReplyRow], order: list[str]) -> pd.DataFrame:
    place = {item: number for number, item in enumerate(order)}
    ordered = sorted(replies, key=lambda reply: (place[reply["item"]], reply["kind"], reply["sample"]))
    columns: dict[str, list[Any]] = defaultdict(list)
    for reply in ordered:
        for name in COLUMNS:
            columns[name].append(reply[name])
    return pd.DataFrame({name: pd.Series(columns[name], dtype=kind) for name, kind in COLUMNS.items()})


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or on the CPU (where torch raises a plain RuntimeError)."""
    import torch

    if isinstance(error, torch.cuda.OutOfMemoryError):
        torch.cuda.empty_cache()
        return True
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)

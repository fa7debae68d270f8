"""Asks any model any items: sampled replies and likelihoods of options, in batches, resumable."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from trustdag.generation.batches import GenerationRequest, plan, run_within_memory
from trustdag.generation.partial import PartialReplies, Reply
from trustdag.generation.progress import Progress
from trustdag.generation.prompts import EncodedItem, encode_items, stops, until_stop
from trustdag.generation.settings import GenerateSettings
from trustdag.models.dialogue import PromptFormat
from trustdag.models.load import context_length
from trustdag.models.tokens import end_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trustdag.generation.decode import Choose, Decoded, State

READ_ON_CPU = 4096
"""Most tokens that a forward pass reads on a CPU: 1.6 times as fast as by 16,384 (docs/performance.md)."""
TIE = 5e-5
"""Leads of a most likely token below this share of the largest logit may be rounding in single precision, whose error
was measured at 7e-7 of it."""
COLUMNS = {
    "item": "string", "kind": "string", "sample": "int64", "reply": "string", "logprob": "float64",
    "tokens": "int64", "ended": "bool", "status": "string",
}  # fmt: skip


class Engine:
    """A model, its tokenizer and the format in which it is asked."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        prompt_format: PromptFormat,
        settings: GenerateSettings,
    ) -> None:
        from trustdag.models.attention import use_blocks
        from trustdag.models.cpu import keep_freed_memory, use_onednn

        self.model, self.tokenizer, self.prompt_format, self.settings = model, tokenizer, prompt_format, settings
        self.on_cpu = model.device.type == "cpu"
        self.batch_tokens = settings.batch_tokens
        self.read_tokens = READ_ON_CPU if self.on_cpu else None
        self._nucleus = settings.temperature > 0 and settings.top_p < 1
        self.end_tokens = end_tokens(tokenizer, model.generation_config, prompt_format)
        self._double = False
        self._ties: list[GenerationRequest] = []
        if self.on_cpu:
            use_onednn(model)
            use_blocks(model)
            keep_freed_memory()

    def generate(self, items: pd.DataFrame, partial: Path, key: str, name: str = "replies") -> pd.DataFrame:
        """Every reply to every item, in the contract's columns, in the items' order.

        `key` names all that the replies depend on: a partial file of the same key is continued. The caller removes
        `partial` once the result is stored.
        """
        asked = encode_items(items, self.tokenizer, self.prompt_format)
        with PartialReplies(partial, key) as store:
            done = {(reply["item"], reply["kind"], reply["sample"]) for reply in store.done}
            replies = list(store.done)
            batches = self._batches(asked)
            left = [batch for batch in (_undone(batch, done) for batch in batches) if batch]
            progress = Progress(name, sum(a.rows for batch in left for a in batch), sum(map(self._work, left)))

            def answer(batch: list[GenerationRequest]) -> None:
                for part in run_within_memory(batch, self._run, is_out_of_memory):
                    store.add(part)
                    replies.extend(part)
                    progress.add(len(part), self._work(batch) * len(part) // sum(request.rows for request in batch))

            self._ties.clear()
            for batch in left:
                self._take_precision(double=bool(batch[0].samples) and self._nucleus)
                answer(batch)
            for batch in self._plan(self._ties):
                self._take_precision(double=True)
                answer(batch)
        self._take_precision(double=False)
        return _frame(replies, list(items["item"]))

    def _take_precision(self, double: bool) -> None:
        """On a CPU, rounding in single precision differs with a batch's shape, and turns about one token in a hundred
        thousand and with it the rest of that reply. So a reply in which two tokens all but tie (`TIE`) is asked again
        in double, and every reply where a nucleus is cut, whose edge may turn too. Likelihoods have nothing to turn."""
        import torch

        if self.on_cpu:
            self._double = double
            self.model.to(torch.float64 if double else torch.float32)

    def _batches(self, asked: list[EncodedItem]) -> list[list[GenerationRequest]]:
        """The plan for the whole run, whatever is done already: a resumed run forms the same batches."""
        samples = tuple(range(self.settings.samples))
        at_once = [each for each in asked if self._at_once(each)]
        apart = [each for each in asked if not self._at_once(each)]
        generate = [GenerationRequest(each, samples) for each in apart if each.generate]
        likelihood = [GenerationRequest(each, (), True) for each in apart if each.options]
        return self._plan([GenerationRequest(each, samples, True) for each in at_once] + generate) + self._plan(
            likelihood
        )

    def _at_once(self, question: EncodedItem) -> bool:
        """Whether one reading of the prompt serves replies and likelihoods: same text, same precision, and it fits."""
        both = question.generate and bool(question.options) and question.prompt == question.context
        return both and not (self.on_cpu and self._nucleus) and self._fits(GenerationRequest(question, (0,), True))

    def _plan(self, requests: list[GenerationRequest]) -> list[list[GenerationRequest]]:
        return plan(requests, self.batch_tokens, self.settings.max_new_tokens)

    def _work(self, batch: list[GenerationRequest]) -> int:
        new = self.settings.max_new_tokens
        return sum(len(request.prompt) + len(request.samples) * (new - 1) + request.rows for request in batch)

    def _fits(self, request: GenerationRequest) -> bool:
        """Whether the model's context holds every row of the request, unpadded."""
        # The last token of an option is predicted, never read.
        longest = max(map(len, request.question.options)) - 1 if request.likelihood else 0
        new = self.settings.max_new_tokens if request.samples else 0
        return len(request.prompt) + max(new, longest) <= context_length(self.model.config)

    def _run(self, batch: list[GenerationRequest]) -> list[Reply]:
        """The replies of one batch."""
        from trustdag.generation.decode import prefill

        fits = [request for request in batch if self._fits(request)]
        replies = [reply for request in batch if not self._fits(request) for reply in _too_long(request)]
        if not fits:
            return replies
        ends = [len(option) for request in fits if request.likelihood for option in request.question.options]
        new = max([self.settings.max_new_tokens if any(request.samples for request in fits) else 0, *ends])
        prompts = [request.prompt for request in fits]
        state = prefill(self.model, prompts, max(map(len, prompts)) + new, self.read_tokens)
        if any(request.likelihood for request in fits):
            replies += self._likelihood(fits, state)
        if any(request.samples for request in fits):
            replies += self._generate(fits, state)
        return replies

    def _generate(self, batch: list[GenerationRequest], state: "State") -> list[Reply]:
        import torch

        from trustdag.generation.decode import decode

        rows = [(request.question.item, sample) for request in batch for sample in request.samples]
        owners = [at for at, request in enumerate(batch) for _ in request.samples]
        if owners != list(range(len(batch))):
            state = state.select(torch.tensor(owners, device=self.model.device))
        stop = stops(self.prompt_format)
        decoded = decode(
            self.model, state, self.settings.max_new_tokens, self._choose(rows, state), self.end_tokens,
            (lambda ids: until_stop(self._text(ids), stop) is not None) if stop else None,
        )  # fmt: skip
        tied = [self.on_cpu and not self._double and each.margin < TIE for each in decoded]
        self._ties += [
            GenerationRequest(batch[owners[row]].question, (rows[row][1],)) for row, tie in enumerate(tied) if tie
        ]
        return [
            self._reply(item, sample, each)
            for (item, sample), each, tie in zip(rows, decoded, tied, strict=True)
            if not tie
        ]

    def _choose(self, rows: list[tuple[str, int]], state: "State") -> "Choose":
        """How the next tokens of the rows (item, sample) are chosen."""
        import numpy as np
        import torch

        from trustdag.generation.sampling import draw, most_likely, noise, nucleus

        temperature, top_p, length = self.settings.temperature, self.settings.top_p, self.settings.max_new_tokens
        # What the model's output layer has beyond the tokenizer's tokens is padding: it stands for no text.
        known, vocabulary = len(self.tokenizer), state.logits.shape[-1]
        if temperature == 0:
            return lambda logits, _, __: most_likely(logits[:, :known])
        drawn = np.stack([noise(self.settings.seed, item, sample, length, vocabulary) for item, sample in rows])
        own = torch.from_numpy(drawn).to(self.model.device)
        if top_p == 1:
            return lambda logits, here, at: draw(logits[:, :known], own[here, at], temperature, vocabulary)
        return lambda logits, here, at: draw(
            nucleus(logits[:, :known], top_p, temperature), own[here, at], temperature, vocabulary
        )

    def _reply(self, item: str, sample: int, decoded: "Decoded") -> Reply:
        text, count, ended = self._text(decoded.tokens), len(decoded.tokens), decoded.ended
        cut = until_stop(text, stops(self.prompt_format))
        if cut is not None:
            text, ended = text[:cut], True
            count = next(n for n in range(count + 1) if len(self._text(decoded.tokens[:n])) >= cut)
        return _row(item, "generate", sample, text, sum(decoded.logprobs[:count]), count, ended)

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _likelihood(self, batch: list[GenerationRequest], state: "State") -> list[Reply]:
        from trustdag.generation.decode import option_logprobs

        values = option_logprobs(
            self.model, state, [request.question.options if request.likelihood else () for request in batch]
        )
        return [
            _row(request.question.item, "likelihood", option, text, value, len(ids), True)
            for request, several in zip(batch, values, strict=True)
            if request.likelihood
            for option, (text, ids, value) in enumerate(
                zip(request.question.texts, request.question.options, several, strict=True)
            )
        ]


def _row(item: str, kind: str, sample: int, reply: str, logprob: float, tokens: int, ended: bool) -> Reply:
    return {
        "item": item, "kind": kind, "sample": sample, "reply": reply, "logprob": logprob,
        "tokens": tokens, "ended": ended, "status": "ok",
    }  # fmt: skip


def _too_long(request: GenerationRequest) -> list[Reply]:
    """An item that the model's context cannot hold: one row for each reply that it would have had."""
    kind = "generate" if request.samples else "likelihood"
    texts = [""] * len(request.samples) if request.samples else request.question.texts
    numbers = request.samples or range(len(texts))
    return [
        _row(request.question.item, kind, number, text, float("nan"), 0, False) | {"status": "too_long"}
        for number, text in zip(numbers, texts, strict=True)
    ]


def _undone(batch: list[GenerationRequest], done: set[tuple[str, str, int]]) -> list[GenerationRequest]:
    """The batch without what an earlier, killed run has finished."""
    left = []
    for request in batch:
        item = request.question.item
        samples = tuple(number for number in request.samples if (item, "generate", number) not in done)
        likelihood = request.likelihood and (item, "likelihood", 0) not in done
        left += [GenerationRequest(request.question, samples, likelihood)] if samples or likelihood else []
    return left


def _frame(replies: list[Reply], order: list[str]) -> pd.DataFrame:
    place = {item: at for at, item in enumerate(order)}
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

"""The engine: the same reply in any batch, the true end of text, likelihoods that are the model's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from tests.support.generation_fixtures import make_items, save_model
from trustdag.errors import UserError
from trustdag.generation.decode import advance
from trustdag.generation.engine import TIE, Engine, is_out_of_memory
from trustdag.generation.forward import prefill, split_prompts, step_of
from trustdag.generation.settings import GenerateSettings
from trustdag.models.dialogue import PromptFormat
from trustdag.models.load import load_policy, load_tokenizer

SAMPLED = GenerateSettings(samples=3, temperature=1.0, max_new_tokens=12)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(model_folder: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(model_folder)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> PreTrainedModel:
    return load_policy(model_folder).eval()


def replies_of(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    items: pd.DataFrame,
    settings: GenerateSettings,
    folder: Path,
    prompt_format: PromptFormat = "hh",
    tie: float = TIE,
) -> pd.DataFrame:
    """The engine's replies and likelihoods."""
    return Engine(model, tokenizer, prompt_format, settings, tie).generate(items, folder / "partial.jsonl", "key")


def prompts_of(items: pd.DataFrame) -> list[str]:
    """The text of each item's first message."""
    return [messages[0]["content"] for messages in items["messages"]]


def note_tokens(read: list[int], inputs: dict[str, Any]) -> None:
    """Appends how many tokens a forward pass reads."""
    read.append(inputs["input_ids"].numel())


@contextmanager
def before_each_pass(model: PreTrainedModel, act: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Calls `act` with the arguments of every forward pass."""
    hook = model.register_forward_pre_hook(lambda _module, _args, inputs: act(inputs), with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("prompt_format", ["hh", "plain"])
def test_a_reply_does_not_depend_on_its_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, prompt_format: PromptFormat
) -> None:
    items = make_items(24, ("the cat", "a big red dog ran"))
    whole = replies_of(model, tokenizer, items, SAMPLED, tmp_path / "a", prompt_format)
    alone = replies_of(
        model, tokenizer, items, SAMPLED.model_copy(update={"batch_tokens": 1}), tmp_path / "b", prompt_format
    )
    half = replies_of(model, tokenizer, items.iloc[::-2], SAMPLED, tmp_path / "c", prompt_format)
    assert whole["reply"].tolist() == alone["reply"].tolist()
    assert whole["tokens"].tolist() == alone["tokens"].tolist()
    np.testing.assert_allclose(whole["logprob"], alone["logprob"], atol=1e-4)
    keys = ["item", "kind", "sample"]
    both = half.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(half)
    assert (both["reply"] == both["reply_whole"]).all()


def test_samples_differ_from_each_other_and_by_seed_and_are_repeatable(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    items = make_items(12)
    first = replies_of(model, tokenizer, items, SAMPLED, tmp_path / "a")
    again = replies_of(model, tokenizer, items, SAMPLED, tmp_path / "b")
    other = replies_of(model, tokenizer, items, SAMPLED.model_copy(update={"seed": 1}), tmp_path / "c")
    assert first["reply"].tolist() == again["reply"].tolist()
    assert first["reply"].tolist() != other["reply"].tolist()
    assert (first.groupby("item")["reply"].nunique() > 1).mean() > 0.9


def test_greedy_replies_are_those_of_transformers_generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    items = make_items(10)
    settings = GenerateSettings(max_new_tokens=10)
    ours = replies_of(model, tokenizer, items, settings, tmp_path, "plain")
    for prompt, reply in zip(prompts_of(items), ours.itertuples(), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        theirs = model.generate(
            ids, max_new_tokens=10, do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=0
        )[0, ids.shape[1] :].tolist()
        if tokenizer.eos_token_id in theirs:
            theirs = theirs[: theirs.index(tokenizer.eos_token_id)]
        assert reply.reply == tokenizer.decode(theirs, skip_special_tokens=True)


@pytest.mark.parametrize("settings", [GenerateSettings(max_new_tokens=10), SAMPLED])
def test_replies_that_almost_tie_are_settled_in_double_precision(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, settings: GenerateSettings
) -> None:
    # Given that every margin counts as a tie
    items = make_items(10)
    precisions: set[torch.dtype] = set()
    expected = replies_of(model, tokenizer, items, settings, tmp_path / "a")
    # When
    with before_each_pass(model, lambda _: precisions.add(next(model.parameters()).dtype)):
        replies = replies_of(model, tokenizer, items, settings, tmp_path / "b", tie=float("inf"))
    # Then
    assert precisions == {torch.float32, torch.float64}
    assert replies["reply"].tolist() == expected["reply"].tolist()
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("top_p", "precision"), [(1.0, torch.float32), (0.9, torch.float64)])
def test_without_ties_only_a_nucleus_needs_double_precision(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, top_p: float, precision: torch.dtype
) -> None:
    # Given
    settings = SAMPLED.model_copy(update={"top_p": top_p})
    precisions: set[torch.dtype] = set()
    # When
    with before_each_pass(model, lambda _: precisions.add(next(model.parameters()).dtype)):
        replies_of(model, tokenizer, make_items(10), settings, tmp_path, tie=0.0)
    # Then
    assert precisions == {precision}
    assert next(model.parameters()).dtype == torch.float32


def test_greedy_replies_do_not_depend_on_their_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    items, settings = make_items(40), GenerateSettings(max_new_tokens=16)
    together = replies_of(model, tokenizer, items, settings, tmp_path / "a", "plain")
    alone = replies_of(
        model, tokenizer, items, settings.model_copy(update={"batch_tokens": 1}), tmp_path / "b", "plain"
    )
    assert together["reply"].tolist() == alone["reply"].tolist()


def test_log_probabilities_are_those_of_the_whole_text_read_at_once(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    items = make_items(9, ("dog", "the small blue cat sat", "a hat"))
    replies = replies_of(model, tokenizer, items, GenerateSettings(max_new_tokens=8), tmp_path, "plain")
    messages_of = dict(zip(items["item"], items["messages"], strict=True))
    for row in replies[replies["kind"] == "likelihood"].itertuples():
        prompt = messages_of[row.item][0]["content"]
        whole = tokenizer(f"{prompt} {row.reply}", return_tensors="pt")["input_ids"]
        start = len(tokenizer(prompt)["input_ids"])
        with torch.no_grad():
            logprobs = model(whole).logits[0].log_softmax(-1)
        expected = sum(logprobs[place - 1, whole[0, place]].item() for place in range(start, whole.shape[1]))
        assert row.logprob == pytest.approx(expected, abs=1e-4)
        assert row.tokens == whole.shape[1] - start


def test_generation_stops_at_the_tokenizers_end_of_text_and_nowhere_else(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    # Given a model that says "the", then the end of text; its generation config names another token as the end.
    the = tokenizer(" the")["input_ids"][0]
    script = [the, tokenizer.eos_token_id, the, the]
    replies = replies_of(
        Scripted(model, script), tokenizer, make_items(3), GenerateSettings(max_new_tokens=4), tmp_path, "plain"
    )
    assert replies["reply"].tolist() == [" the"] * 3
    assert replies["ended"].all()
    assert replies["tokens"].tolist() == [1, 1, 1]
    # When token 5, which the generation config calls the end, comes, nothing ends.
    replies = replies_of(
        Scripted(model, [5] * 4), tokenizer, make_items(3), GenerateSettings(max_new_tokens=4), tmp_path / "b", "plain"
    )
    assert not replies["ended"].any()
    assert replies["tokens"].tolist() == [4, 4, 4]


def test_in_hh_format_a_reply_ends_where_the_next_speaker_starts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    script = tokenizer(" the cat\n\nHuman: the dog sat on the mat")["input_ids"]
    settings = GenerateSettings(max_new_tokens=len(script))
    hh = replies_of(Scripted(model, script), tokenizer, make_items(3), settings, tmp_path, "hh")
    assert set(hh["reply"]) == {" the cat"}
    assert hh["ended"].all()
    assert set(hh["tokens"]) == {len(tokenizer(" the cat")["input_ids"])}
    plain = replies_of(Scripted(model, script), tokenizer, make_items(3), settings, tmp_path / "b", "plain")
    assert set(plain["reply"]) == {" the cat\n\nHuman: the dog sat on the mat"}


def test_an_item_that_does_not_fit_the_context_is_counted_and_not_cut(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    save_model(tmp_path / "short", context=24)
    model = load_policy(tmp_path / "short").eval()
    items = make_items(20, ("the cat", "a dog"))
    settings = GenerateSettings(samples=2, max_new_tokens=8)
    replies = replies_of(model, tokenizer, items, settings, tmp_path, "plain")
    prompts = zip(items["item"], prompts_of(items), strict=True)
    lengths = {item: len(tokenizer(prompt)["input_ids"]) for item, prompt in prompts}
    too_long = replies["status"] == "too_long"
    generated = replies["kind"] == "generate"
    assert too_long.any()
    assert not too_long.all()
    for row in replies[generated].itertuples():
        assert (row.status == "too_long") == (lengths[row.item] + 8 > 24)
    assert replies.loc[too_long, "logprob"].isna().all()
    assert replies.loc[too_long & generated, "reply"].eq("").all()
    assert len(replies) == 20 * (2 + 2)


def test_memory_that_runs_out_halves_the_batch_and_changes_no_reply(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    # Given a model that has no memory for more than 12 rows
    items = make_items(16, ("the cat", "a dog"))
    sizes: list[int] = []
    expected = replies_of(model, tokenizer, items, SAMPLED, tmp_path / "a")

    def limit(inputs: dict[str, Any]) -> None:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 12:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    # When
    with before_each_pass(model, limit):
        replies = replies_of(model, tokenizer, items, SAMPLED, tmp_path / "b")
    # Then
    assert replies["reply"].tolist() == expected["reply"].tolist()
    assert max(sizes) > 12


def test_one_row_that_does_not_fit_in_memory_is_an_error_that_names_it(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    def fail(_inputs: dict[str, Any]) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with before_each_pass(model, fail), pytest.raises(UserError, match="item item000 does not fit in memory"):
        replies_of(model, tokenizer, make_items(1), GenerateSettings(), tmp_path)


def test_any_other_error_is_not_taken_for_memory(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    def fail(_inputs: dict[str, Any]) -> None:
        raise RuntimeError("shapes do not match")

    with before_each_pass(model, fail), pytest.raises(RuntimeError, match="shapes"):
        replies_of(model, tokenizer, make_items(4), GenerateSettings(), tmp_path)


def test_an_empty_prompt_is_refused(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    items = make_items(1)
    items["messages"] = items["messages"].map(lambda _: [{"role": "user", "content": ""}])
    with pytest.raises(UserError, match=r"item000.*no token"):
        replies_of(model, tokenizer, items, GenerateSettings(), tmp_path, "plain")


def test_shared_prefixes_change_no_reply_and_no_likelihood(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    # Given many prompts that start alike, so that they share a prefix within a batch
    items = make_items(40, ("the cat", "a dog"))
    long = " ".join(["the cat sat on the mat and then"] * 3)
    items["messages"] = [[{"role": "system", "content": long}, *messages] for messages in items["messages"]]
    together = replies_of(model, tokenizer, items, SAMPLED, tmp_path / "a", "plain")
    alone = replies_of(model, tokenizer, items, SAMPLED.model_copy(update={"batch_tokens": 1}), tmp_path / "b", "plain")
    assert together["reply"].tolist() == alone["reply"].tolist()
    np.testing.assert_allclose(together["logprob"], alone["logprob"], atol=1e-4)


def test_a_prompt_is_read_once_for_its_reply_and_its_options(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    # Given items that are asked for a greedy reply and for two options' likelihood
    items, settings = make_items(24, ("the cat", "a big red dog")), GenerateSettings(max_new_tokens=6)
    parts = {
        "both": items,
        "replies": items.assign(options=items["options"].map(lambda _: [])),
        "options": items.assign(generate=False),
    }
    replies: dict[str, pd.DataFrame] = {}
    tokens: dict[str, int] = {}
    # When
    for name, part in parts.items():
        read: list[int] = []
        with before_each_pass(model, partial(note_tokens, read)):
            replies[name] = replies_of(model, tokenizer, part, settings, tmp_path / name, "plain")
        tokens[name] = sum(read)
    # Then the replies and likelihoods are those of two readings, but the prompts are read once.
    apart = pd.concat([replies["replies"], replies["options"]])
    both = replies["both"].merge(apart, on=["item", "kind", "sample"], suffixes=("", "_apart"))
    assert len(both) == len(replies["both"]) == len(apart) == 24 * 3
    assert (both["reply"] == both["reply_apart"]).all()
    np.testing.assert_allclose(both["logprob"], both["logprob_apart"], atol=1e-4)
    prompts = sum(len(tokenizer(messages[0]["content"])["input_ids"]) for messages in items["messages"])
    assert tokens["replies"] + tokens["options"] - tokens["both"] >= prompts


def test_prompts_are_read_in_parts_of_at_most_so_many_tokens_padding_included() -> None:
    prompts = [(0,) * length for length in (10, 9, 4, 4, 3, 1)]
    sizes = {limit: [len(part) for part in split_prompts(prompts, limit)] for limit in (None, 1000, 20, 8, 1)}
    assert sizes == {None: [6], 1000: [6], 20: [2, 4], 8: [1, 1, 2, 2], 1: [1] * 6}


@pytest.mark.parametrize("shared", [0, 30])
def test_a_prompt_read_among_others_and_in_parts_is_read_as_if_alone(model: PreTrainedModel, shared: int) -> None:
    # Given prompts of several lengths, with a common start or without
    start = tuple(range(50, 50 + shared))
    prompts = [start + tuple(range(7 * row + 2, 7 * row + 2 + 10 * row)) for row in range(1, 9)]
    # When they are read together, in parts, and continued by one token
    state = prefill(model, prompts, 120, 2 * (shared + 40))
    after = advance(step_of(model), state, torch.full((len(prompts),), 3))
    # Then logits are those of each text by itself.
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            whole = model(torch.tensor([[*prompt, 3]])).logits[0]
        torch.testing.assert_close(state.logits[row], whole[-2], atol=2e-4, rtol=0)
        torch.testing.assert_close(after.logits[row], whole[-1], atol=2e-4, rtol=0)


def test_a_model_with_a_sliding_window_is_read_as_if_alone() -> None:
    # Given a model whose second layer sees four tokens back, so that padding must not stand after a text
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=60, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, use_sliding_window=True, sliding_window=4,
        max_window_layers=1,
    )  # fmt: skip
    windowed = Qwen2ForCausalLM(config).eval()
    prompts = [tuple(range(3, 3 + length)) for length in (12, 7, 2)]
    state = prefill(windowed, prompts, 32, 8)
    after = advance(step_of(windowed), state, torch.full((3,), 5))
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            whole = windowed(torch.tensor([[*prompt, 5]])).logits[0]
        torch.testing.assert_close(state.logits[row], whole[-2], atol=1e-5, rtol=0)
        torch.testing.assert_close(after.logits[row], whole[-1], atol=1e-5, rtol=0)


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("size mismatch"))


class Scripted:
    """A model that generates the same tokens for every prompt."""

    def __init__(self, model: PreTrainedModel, script: list[int]) -> None:
        self.model, self.script = model, script
        self.config, self.device, self.generation_config = model.config, model.device, model.generation_config
        self.said = 0

    def to(self, dtype: torch.dtype) -> None:
        self.model.to(dtype)

    def modules(self) -> Iterator[torch.nn.Module]:
        return self.model.modules()

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, logits_to_keep: int, **inputs: Any) -> Any:
        return self(input_ids, position_ids, logits_to_keep, **inputs)

    def __call__(self, input_ids: torch.Tensor, position_ids: torch.Tensor, logits_to_keep: int, **inputs: Any) -> Any:
        out = self.model(input_ids=input_ids, position_ids=position_ids, logits_to_keep=logits_to_keep, **inputs)
        self.said = 0 if input_ids.shape[1] > 1 else self.said + 1
        out.logits = torch.full_like(out.logits, -100.0)
        out.logits[..., self.script[min(self.said, len(self.script) - 1)]] = 100.0
        return out

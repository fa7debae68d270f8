"""The engine: the same reply in any batch, the true end of text, likelihoods that are the model's own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.support.generation_fixtures import make_items, save_model
from trustdag.errors import UserError
from trustdag.generation import engine as engine_module
from trustdag.generation.decode import _parts, prefill, step
from trustdag.generation.engine import Engine
from trustdag.generation.settings import GenerateSettings
from trustdag.models.load import load_policy, load_tokenizer

SAMPLED = GenerateSettings(samples=3, temperature=1.0, max_new_tokens=12)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(model_folder):
    return load_tokenizer(model_folder)


@pytest.fixture(scope="module")
def model(model_folder):
    return load_policy(model_folder).eval()


def ask(model, tokenizer, items, settings, folder: Path, prompt_format="hh") -> pd.DataFrame:
    return Engine(model, tokenizer, prompt_format, settings).generate(items, folder / "partial.jsonl", "key")


@pytest.mark.parametrize("prompt_format", ["hh", "plain"])
def test_a_reply_does_not_depend_on_its_batch(model, tokenizer, tmp_path, prompt_format):
    items = make_items(24, ("the cat", "a big red dog ran"))
    whole = ask(model, tokenizer, items, SAMPLED, tmp_path / "a", prompt_format)
    alone = ask(model, tokenizer, items, SAMPLED.model_copy(update={"batch_tokens": 1}), tmp_path / "b", prompt_format)
    half = ask(model, tokenizer, items.iloc[::-2], SAMPLED, tmp_path / "c", prompt_format)
    assert whole["reply"].tolist() == alone["reply"].tolist()
    assert whole["tokens"].tolist() == alone["tokens"].tolist()
    np.testing.assert_allclose(whole["logprob"], alone["logprob"], atol=1e-4)
    keys = ["item", "kind", "sample"]
    both = half.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(half)
    assert (both["reply"] == both["reply_whole"]).all()


def test_samples_differ_from_each_other_and_by_seed_and_are_repeatable(model, tokenizer, tmp_path):
    items = make_items(12)
    first = ask(model, tokenizer, items, SAMPLED, tmp_path / "a")
    again = ask(model, tokenizer, items, SAMPLED, tmp_path / "b")
    other = ask(model, tokenizer, items, SAMPLED.model_copy(update={"seed": 1}), tmp_path / "c")
    assert first["reply"].tolist() == again["reply"].tolist()
    assert first["reply"].tolist() != other["reply"].tolist()
    assert (first.groupby("item")["reply"].nunique() > 1).mean() > 0.9


def test_greedy_replies_are_those_of_transformers_generate(model, tokenizer, tmp_path):
    items = make_items(10)
    settings = GenerateSettings(max_new_tokens=10)
    ours = ask(model, tokenizer, items, settings, tmp_path, "plain")
    for row, reply in zip(items.itertuples(), ours.itertuples(), strict=True):
        ids = tokenizer(row.messages[0]["content"], return_tensors="pt")["input_ids"]
        theirs = model.generate(
            ids, max_new_tokens=10, do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=0
        )[0, ids.shape[1] :].tolist()
        if tokenizer.eos_token_id in theirs:
            theirs = theirs[: theirs.index(tokenizer.eos_token_id)]
        assert reply.reply == tokenizer.decode(theirs, skip_special_tokens=True)


@pytest.mark.parametrize("settings", [GenerateSettings(max_new_tokens=10), SAMPLED])
def test_replies_that_all_but_tie_are_settled_in_double_precision(model, tokenizer, tmp_path, monkeypatch, settings):
    # Given that every lead counts as a tie, and that each forward pass says in which precision it was.
    items = make_items(10)
    expected = ask(model, tokenizer, items, settings, tmp_path / "a")
    read = []
    hook = model.register_forward_pre_hook(lambda *_: read.append(next(model.parameters()).dtype))
    try:
        monkeypatch.setattr(engine_module, "TIE", float("inf"))
        found = ask(model, tokenizer, items, settings, tmp_path / "b")
        assert set(read) == {torch.float32, torch.float64}
        assert found["reply"].tolist() == expected["reply"].tolist()
        assert len(found) == len(expected)
        # Without ties, single precision is enough; not for a nucleus, whose edge may turn too.
        monkeypatch.setattr(engine_module, "TIE", 0.0)
        nucleus = SAMPLED.model_copy(update={"top_p": 0.9})
        for each, precision in ((settings, torch.float32), (nucleus, torch.float64)):
            read.clear()
            ask(model, tokenizer, items, each, tmp_path / str(precision))
            assert set(read) == {precision}
    finally:
        hook.remove()
    assert next(model.parameters()).dtype == torch.float32


def test_greedy_replies_do_not_depend_on_their_batch(model, tokenizer, tmp_path):
    items, settings = make_items(40), GenerateSettings(max_new_tokens=16)
    together = ask(model, tokenizer, items, settings, tmp_path / "a", "plain")
    alone = ask(model, tokenizer, items, settings.model_copy(update={"batch_tokens": 1}), tmp_path / "b", "plain")
    assert together["reply"].tolist() == alone["reply"].tolist()


def test_log_probabilities_are_those_of_the_whole_text_read_at_once(model, tokenizer, tmp_path):
    items = make_items(9, ("dog", "the small blue cat sat", "a hat"))
    replies = ask(model, tokenizer, items, GenerateSettings(max_new_tokens=8), tmp_path, "plain")
    asked = dict(zip(items["item"], items["messages"], strict=True))
    for row in replies[replies["kind"] == "likelihood"].itertuples():
        prompt = asked[row.item][0]["content"]
        whole = tokenizer(f"{prompt} {row.reply}", return_tensors="pt")["input_ids"]
        start = len(tokenizer(prompt)["input_ids"])
        with torch.no_grad():
            logprobs = model(whole).logits[0].log_softmax(-1)
        expected = sum(logprobs[at - 1, whole[0, at]].item() for at in range(start, whole.shape[1]))
        assert row.logprob == pytest.approx(expected, abs=1e-4)
        assert row.tokens == whole.shape[1] - start


def test_generation_stops_at_the_tokenizers_end_of_text_and_nowhere_else(model, tokenizer, tmp_path):
    # Given a model that says "the", then the end of text; its generation config names another token as the end.
    the = tokenizer(" the")["input_ids"][0]
    script = [the, tokenizer.eos_token_id, the, the]
    replies = ask(
        Scripted(model, script), tokenizer, make_items(3), GenerateSettings(max_new_tokens=4), tmp_path, "plain"
    )
    assert replies["reply"].tolist() == [" the"] * 3
    assert replies["ended"].all()
    assert replies["tokens"].tolist() == [1, 1, 1]
    # When token 5, which the generation config calls the end, comes, nothing ends.
    replies = ask(
        Scripted(model, [5] * 4), tokenizer, make_items(3), GenerateSettings(max_new_tokens=4), tmp_path / "b", "plain"
    )
    assert not replies["ended"].any()
    assert replies["tokens"].tolist() == [4, 4, 4]


def test_in_hh_format_a_reply_ends_where_the_next_speaker_starts(model, tokenizer, tmp_path):
    script = tokenizer(" the cat\n\nHuman: the dog sat on the mat")["input_ids"]
    settings = GenerateSettings(max_new_tokens=len(script))
    hh = ask(Scripted(model, script), tokenizer, make_items(3), settings, tmp_path, "hh")
    assert set(hh["reply"]) == {" the cat"}
    assert hh["ended"].all()
    assert set(hh["tokens"]) == {len(tokenizer(" the cat")["input_ids"])}
    plain = ask(Scripted(model, script), tokenizer, make_items(3), settings, tmp_path / "b", "plain")
    assert set(plain["reply"]) == {" the cat\n\nHuman: the dog sat on the mat"}


def test_an_item_that_does_not_fit_the_context_is_counted_and_not_cut(tmp_path, tokenizer):
    save_model(tmp_path / "short", context=24)
    model = load_policy(tmp_path / "short").eval()
    items = make_items(20, ("the cat", "a dog"))
    settings = GenerateSettings(samples=2, max_new_tokens=8)
    replies = ask(model, tokenizer, items, settings, tmp_path, "plain")
    lengths = {row.item: len(tokenizer(row.messages[0]["content"])["input_ids"]) for row in items.itertuples()}
    too_long = replies["status"] == "too_long"
    generated = replies["kind"] == "generate"
    assert too_long.any()
    assert not too_long.all()
    for row in replies[generated].itertuples():
        assert (row.status == "too_long") == (lengths[row.item] + 8 > 24)
    assert replies.loc[too_long, "logprob"].isna().all()
    assert replies.loc[too_long & generated, "reply"].eq("").all()
    assert len(replies) == 20 * (2 + 2)


def test_memory_that_runs_out_halves_the_batch_and_changes_no_reply(model, tokenizer, tmp_path, monkeypatch):
    items = make_items(16, ("the cat", "a dog"))
    expected = ask(model, tokenizer, items, SAMPLED, tmp_path / "a")
    sizes = []
    run = Engine._run

    def out_of_memory_above_12_rows(self, batch):
        sizes.append(sum(ask.rows for ask in batch))
        if sizes[-1] > 12:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return run(self, batch)

    monkeypatch.setattr(Engine, "_run", out_of_memory_above_12_rows)
    found = ask(model, tokenizer, items, SAMPLED, tmp_path / "b")
    assert found["reply"].tolist() == expected["reply"].tolist()
    assert max(sizes) > 12


def test_one_row_that_does_not_fit_in_memory_is_an_error_that_names_it(model, tokenizer, tmp_path, monkeypatch):
    def never(self, batch):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Engine, "_run", never)
    with pytest.raises(UserError, match="item item000 does not fit in memory"):
        ask(model, tokenizer, make_items(1), GenerateSettings(), tmp_path)


def test_any_other_error_is_not_taken_for_memory(model, tokenizer, tmp_path, monkeypatch):
    def broken(self, batch):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Engine, "_run", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        ask(model, tokenizer, make_items(4), GenerateSettings(), tmp_path)


def test_an_empty_prompt_is_refused(model, tokenizer, tmp_path):
    items = make_items(1)
    items.at[0, "messages"] = [{"role": "user", "content": ""}]
    with pytest.raises(UserError, match=r"item000.*no token"):
        ask(model, tokenizer, items, GenerateSettings(), tmp_path, "plain")


def test_shared_prefixes_change_no_reply_and_no_likelihood(model, tokenizer, tmp_path):
    # Given many prompts that start alike, so that they share a prefix within a batch
    items = make_items(40, ("the cat", "a dog"))
    long = " ".join(["the cat sat on the mat and then"] * 3)
    items["messages"] = [[{"role": "system", "content": long}, *messages] for messages in items["messages"]]
    together = ask(model, tokenizer, items, SAMPLED, tmp_path / "a", "plain")
    alone = ask(model, tokenizer, items, SAMPLED.model_copy(update={"batch_tokens": 1}), tmp_path / "b", "plain")
    assert together["reply"].tolist() == alone["reply"].tolist()
    np.testing.assert_allclose(together["logprob"], alone["logprob"], atol=1e-4)


def test_a_prompt_is_read_once_for_its_reply_and_its_options(model, tokenizer, tmp_path):
    # Given items that are asked for a greedy reply and for two options' likelihood
    items, settings = make_items(24, ("the cat", "a big red dog")), GenerateSettings(max_new_tokens=6)
    read = []
    hook = model.register_forward_pre_hook(
        lambda _, __, inputs: read.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    asked = {
        "both": items,
        "replies": items.assign(options=[[]] * len(items)),
        "options": items.assign(generate=False),
    }
    found, tokens = {}, {}
    try:
        for name, some in asked.items():
            read.clear()
            found[name] = ask(model, tokenizer, some, settings, tmp_path / name, "plain")
            tokens[name] = sum(read)
    finally:
        hook.remove()
    # Then the replies and likelihoods are those of two readings, but the prompts are read once.
    apart = pd.concat([found["replies"], found["options"]])
    both = found["both"].merge(apart, on=["item", "kind", "sample"], suffixes=("", "_apart"))
    assert len(both) == len(found["both"]) == len(apart) == 24 * 3
    assert (both["reply"] == both["reply_apart"]).all()
    np.testing.assert_allclose(both["logprob"], both["logprob_apart"], atol=1e-4)
    prompts = sum(len(tokenizer(each[0]["content"])["input_ids"]) for each in items["messages"])
    assert tokens["replies"] + tokens["options"] - tokens["both"] >= prompts


def test_prompts_are_read_in_parts_of_at_most_so_many_tokens_padding_included():
    prompts = [(0,) * length for length in (10, 9, 4, 4, 3, 1)]
    sizes = {limit: [len(part) for part in _parts(prompts, limit)] for limit in (None, 1000, 20, 8, 1)}
    assert sizes == {None: [6], 1000: [6], 20: [2, 4], 8: [1, 1, 2, 2], 1: [1] * 6}


@pytest.mark.parametrize("shared", [0, 30])
def test_a_prompt_read_among_others_and_in_parts_is_read_as_if_alone(model, shared):
    # Given prompts of several lengths, with a common start or without
    start = tuple(range(50, 50 + shared))
    prompts = [start + tuple(range(7 * row + 2, 7 * row + 2 + 10 * row)) for row in range(1, 9)]
    # When they are read together, in parts, and continued by one token
    state = prefill(model, prompts, 120, 2 * (shared + 40))
    after = step(model, state, torch.full((len(prompts),), 3))
    # Then logits are those of each text by itself.
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            whole = model(torch.tensor([[*prompt, 3]])).logits[0]
        torch.testing.assert_close(state.logits[row], whole[-2], atol=2e-4, rtol=0)
        torch.testing.assert_close(after.logits[row], whole[-1], atol=2e-4, rtol=0)


def test_a_model_with_a_sliding_window_is_read_as_if_alone():
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
    after = step(windowed, state, torch.full((3,), 5))
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            whole = windowed(torch.tensor([[*prompt, 5]])).logits[0]
        torch.testing.assert_close(state.logits[row], whole[-2], atol=1e-5, rtol=0)
        torch.testing.assert_close(after.logits[row], whole[-1], atol=1e-5, rtol=0)


def test_out_of_memory_is_told_from_other_errors():
    assert engine_module.is_out_of_memory(torch.cuda.OutOfMemoryError("x"))
    assert engine_module.is_out_of_memory(RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory"))
    assert engine_module.is_out_of_memory(MemoryError())
    assert not engine_module.is_out_of_memory(RuntimeError("size mismatch"))


class Scripted:
    """A model that says the same tokens to every prompt, whatever it reads."""

    def __init__(self, model, script):
        self.model, self.script = model, script
        self.config, self.device, self.generation_config = model.config, model.device, model.generation_config
        self.said = 0

    def to(self, dtype):
        self.model.to(dtype)

    def modules(self):
        return self.model.modules()

    def forward(self, input_ids, attention_mask, past_key_values, use_cache, position_ids, logits_to_keep):
        return self(input_ids, attention_mask, past_key_values, use_cache, position_ids, logits_to_keep)

    def __call__(self, input_ids, attention_mask, past_key_values, use_cache, position_ids, logits_to_keep):
        out = self.model(
            input_ids=input_ids, attention_mask=attention_mask, past_key_values=past_key_values, use_cache=use_cache,
            position_ids=position_ids, logits_to_keep=logits_to_keep,
        )  # fmt: skip
        self.said = 0 if input_ids.shape[1] > 1 else self.said + 1
        out.logits = torch.full_like(out.logits, -100.0)
        out.logits[..., self.script[min(self.said, len(self.script) - 1)]] = 100.0
        return out

"""A model trained from scratch: its tokenizer, its packing, what it learns."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support import tiny_models as tiny
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json, read_jsonl
from trustdag.models.load import load_policy, load_tokenizer
from trustdag.train.pretrain import build, learning_rate, make, pack, train_tokenizer

TOKENIZER = train_tokenizer(tiny.transcripts(36), 340, 64)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    ids = TOKENIZER(text.replace("<|", "<"), add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids, clean_up_tokenization_spaces=False) == text.replace("<|", "<")


def test_two_tokenizers_of_one_corpus_are_equal() -> None:
    again = train_tokenizer(tiny.transcripts(36), 340, 64)
    assert again.get_vocab() == TOKENIZER.get_vocab()
    assert len(TOKENIZER) <= 340


def test_packing_predicts_each_token_once_and_closes_each_text() -> None:
    # Given texts of 1 token each
    rows = pack(["a", "b", "c", "d", "e"], TOKENIZER, context=4)
    end = TOKENIZER.eos_token_id
    ids = [TOKENIZER(letter)["input_ids"][0] for letter in "abcde"]
    # Then rows of context + 1 overlap by one token; the remainder (here `e`) is left out
    assert rows.tolist() == [[ids[0], end, ids[1], end, ids[2]], [ids[2], end, ids[3], end, ids[4]]]
    assert rows.dtype == np.int32


def test_a_text_shorter_than_the_context_is_repeated_to_fill_one_row() -> None:
    assert pack(["a"], TOKENIZER, context=16).shape == (1, 17)


def test_the_learning_rate_rises_and_falls_to_a_tenth() -> None:
    settings = tiny.scratch(steps=100, warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


def test_the_model_learns_its_corpus_and_stops_at_the_end_of_a_text(tmp_path: Path) -> None:
    # Given transcripts of 36 prompts with two replies each, and a short training
    data = tiny.write_data(tmp_path / "data")
    settings = tiny.scratch(steps=250, learning_rate=5e-3, log_every=50, checkpoint_every=1000, initializer_range=0.1)
    make(settings, data / "corpus.parquet", "hh", tmp_path / "out")
    # Then the loss comes down from ln(vocabulary) to what the corpus leaves open, on texts that were held out too
    lines = read_jsonl(tmp_path / "out" / "metrics.jsonl")
    assert lines[-1]["split"] == "validation"
    assert lines[-1]["loss"] < 0.8 < 0.4 * math.log(len(TOKENIZER))
    # And it answers, and ends its answer
    model, tokenizer = load_policy(tmp_path / "out" / "model"), load_tokenizer(tmp_path / "out" / "model")
    ids = tokenizer("\n\nHuman: Give Ana the apple.\n\nAssistant:", return_tensors="pt")["input_ids"]
    reply = model.generate(ids, max_new_tokens=30, do_sample=False)[0, ids.shape[1] :]
    assert reply[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(reply[:-1]) in {" Thanks, Ana has it.", " No, Ana has not."}
    # And the manifest says what made it
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["made_by"]["settings"] == settings.model_dump(mode="json")
    assert manifest["facts"]["validation_loss"] == lines[-1]["loss"]
    assert "Validation loss" in (tmp_path / "out" / "model" / "README.md").read_text()


def test_the_seed_makes_the_weights() -> None:
    def weight(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build(tiny.scratch(), TOKENIZER).gpt_neox.embed_in.weight

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


def test_a_loss_that_explodes_stops_the_training_without_a_model(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    settings = tiny.scratch(learning_rate=1e4, warmup=0.0, max_grad_norm=1e9)
    with pytest.raises(UserError, match="base: the training diverged: at step"):
        make(settings, data / "corpus.parquet", "hh", tmp_path / "out")
    assert not (tmp_path / "out" / "model").exists()
    assert not list((tmp_path / "out").glob(".checkpoints/*/checkpoint-*"))


@pytest.mark.parametrize(
    ("texts", "changes", "expected"),
    [
        (["short", "texts"], {}, "fewer than batch_size 4; lower batch_size or context"),
        (["one"], {}, "too few to hold one out"),
        ([], {}, "holds no text"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    texts: list[str], changes: dict[str, int], expected: str, tmp_path: Path
) -> None:
    pd.DataFrame({"text": pd.Series(texts, dtype=str)}).to_parquet(tmp_path / "corpus.parquet")
    with pytest.raises(UserError, match=expected):
        make(tiny.scratch(**changes), tmp_path / "corpus.parquet", "hh", tmp_path / "out")


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.parquet: no such corpus"):
        make(tiny.scratch(), tmp_path / "nowhere.parquet", "hh", tmp_path / "out")

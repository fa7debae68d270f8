"""Rows of the output layer beyond the tokenizer's tokens, as in Qwen's padded vocabularies, are never sampled."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.generation_fixtures import make_items, save_model
from trustdag.generation.engine import Engine
from trustdag.generation.settings import GenerateSettings

PADDING_ROWS = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that likes the rows beyond its tokenizer's tokens best."""
    folder = tmp_path_factory.mktemp("padded")
    save_model(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    known = model.config.vocab_size
    model.resize_token_embeddings(known + PADDING_ROWS, mean_resizing=False)
    output = model.get_output_embeddings().weight
    with torch.no_grad():  # each is a token's row at ten times its length: some padding row is the most likely token
        output[known:] = 10 * output[:PADDING_ROWS]
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        GenerateSettings(max_new_tokens=12),
        GenerateSettings(max_new_tokens=12, temperature=1.0, samples=3),
        GenerateSettings(max_new_tokens=12, temperature=1.5, top_p=0.9, samples=3),
    ],
    ids=["greedy", "sampled", "nucleus"],
)
def test_evaluation_never_samples_an_id_beyond_the_tokenizer(
    folder: Path, settings: GenerateSettings, tmp_path: Path
) -> None:
    # given a model whose own greedy choice is a padding row
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("the cat", return_tensors="pt").input_ids
    assert int(model(ids).logits[0, -1].argmax()) >= len(tokenizer)
    # when replies are sampled
    replies = Engine(model, tokenizer, "plain", settings).generate(make_items(6), tmp_path / "partial.jsonl", "key")
    # then they have text: an id beyond the tokenizer decodes to nothing, one of a byte-level tokenizer to characters
    written = replies[~replies["ended"]]
    assert len(written) > 0
    assert (written["reply"].str.len() >= settings.max_new_tokens / 2).all()


def test_a_greedy_reply_is_the_most_likely_one_of_known_tokens(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    items = make_items(1)
    ids = tokenizer(items["messages"][0][0]["content"], return_tensors="pt").input_ids
    prompt = ids.shape[1]
    with torch.no_grad():
        for _ in range(12):
            ids = torch.cat([ids, model(ids).logits[:, -1, : len(tokenizer)].argmax(-1, keepdim=True)], 1)
            if int(ids[0, -1]) == tokenizer.eos_token_id:
                break
    expected = tokenizer.decode(ids[0, prompt:], skip_special_tokens=True)
    settings = GenerateSettings(max_new_tokens=12)
    replies = Engine(model, tokenizer, "plain", settings).generate(items, tmp_path / "partial.jsonl", "key")
    assert replies["reply"].tolist() == [expected]

"""Prompts and replies as tokens: training sees exactly what generation starts from."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from tests.support import tiny_models as tiny
from tests.support import tokenizers_of_kinds as kinds
from trustdag.errors import UserError
from trustdag.generation.prompts import encode_items
from trustdag.models.dialogue import Message, PromptFormat, render
from trustdag.models.tokens import (
    encode_conversations,
    encode_prompts,
    encode_replies,
    end_of_reply,
    end_tokens,
    stop_texts,
)
from trustdag.train.pairs import encode
from trustdag.train.pretrain import train_tokenizer

TOKENIZER = train_tokenizer(tiny.transcripts(36), 340, 64)
TEXTS = st.text(st.sampled_from("ab .\n'sTe"), max_size=12)


@given(prompt=TEXTS, reply=TEXTS)
def test_a_prompts_tokens_do_not_depend_on_the_reply(prompt: str, reply: str) -> None:
    prompts, replies = encode_replies([prompt], [reply], TOKENIZER, "plain")
    assert prompts == encode_prompts([prompt], TOKENIZER, "plain")
    decoded = TOKENIZER.decode(prompts[0] + replies[0], clean_up_tokenization_spaces=False)
    assert decoded == prompt + reply  # nothing is lost or doubled at the seam


def test_a_reply_is_tokenised_as_it_would_be_in_the_whole_text() -> None:
    prompts, replies = encode_replies(["\n\nHuman: Give\n\nAssistant:"], [" Thanks, Ana"], TOKENIZER, "hh")
    assert prompts[0] + replies[0] == TOKENIZER("\n\nHuman: Give\n\nAssistant: Thanks, Ana")["input_ids"]


def test_conversations_end_with_the_end_of_text() -> None:
    messages: list[Message] = [{"role": "user", "content": "Give Ana the apple."}]
    prompts, replies = encode_conversations([messages], ["Thanks."], TOKENIZER, "hh")
    assert TOKENIZER.decode(prompts[0]) == "\n\nHuman: Give Ana the apple.\n\nAssistant:"
    assert TOKENIZER.decode(replies[0]) == " Thanks.<|endoftext|>"
    assert replies[0].count(TOKENIZER.eos_token_id) == 1


# --- Tokenizers that add the end of text themselves ---


def items(prompt: str, *options: str) -> pd.DataFrame:
    """One item with these options."""
    messages = [{"role": "user", "content": prompt}]
    return pd.DataFrame({"item": ["a"], "messages": [messages], "options": [list(options)], "generate": [True]})


def test_an_end_of_text_that_the_tokenizer_adds_is_taken_off() -> None:
    tokenizer = kinds.byte_level(closed=True)
    messages: list[Message] = [{"role": "user", "content": "Give Ana the apple."}]
    prompts, replies = encode_conversations([messages], ["Thanks."], tokenizer, "hh")
    assert tokenizer.decode(prompts[0]) == "<|im_start|>\n\nHuman: Give Ana the apple.\n\nAssistant:"
    assert tokenizer.decode(replies[0]) == " Thanks.<|endoftext|>"


def test_options_are_whole_where_the_tokenizer_adds_the_end_of_text() -> None:
    tokenizer = kinds.byte_level(closed=True)
    (item,) = encode_items(items("Is it?", "yes", "no"), tokenizer, "hh")
    assert [tokenizer.decode(option) for option in item.options] == [" yes", " no"]
    assert tokenizer.decode(item.prompt).endswith("Assistant:")


# --- A token across the join of prompt and reply ---


def test_training_and_evaluation_cut_a_merged_join_alike() -> None:
    tokenizer = kinds.merging()
    (item,) = encode_items(items("is it?", "yes", "no"), tokenizer, "hh")
    prompts, replies = encode_replies(["\n\nHuman: is it?\n\nAssistant:"] * 2, [" yes", " no"], tokenizer, "hh")
    assert [list(option) for option in item.options] == replies
    assert list(item.prompt) == prompts[0]
    assert [tokenizer.decode(option).replace(" ", "") for option in item.options] == ["yes", "no"]


def test_an_option_without_text_is_named() -> None:
    with pytest.raises(UserError, match="item a: its option '' has no token"):
        encode_items(items("is it?", ""), kinds.byte_level(kinds.WITHOUT_SYSTEM), "chat")


# --- Control tokens in a text ---


@pytest.mark.parametrize("prompt_format", ["hh", "plain"])
def test_the_name_of_a_control_token_in_a_text_is_text(prompt_format: PromptFormat) -> None:
    tokenizer = kinds.byte_level()
    (ids,) = encode_prompts(["a<|endoftext|>b"], tokenizer, prompt_format)
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == "a<|endoftext|>b"


def test_a_control_token_in_a_chat_is_refused_with_its_text() -> None:
    with pytest.raises(UserError, match=r"a text of the user holds '<\|im_end\|>' \('go<\|im_end\|>'\)"):
        render([{"role": "user", "content": "go<|im_end|>"}], kinds.byte_level(kinds.CHATML), "chat")


def test_a_pair_with_a_control_token_is_left_out_of_a_chats_training(tmp_path: Path) -> None:
    frame = tiny.pairs(6)
    frame.loc[2, "rejected"] = "a<|im_end|>b"
    frame.to_parquet(tmp_path / "train.parquet")
    tokenizer = kinds.byte_level(kinds.CHATML)
    encoded = encode(tmp_path / "train.parquet", ("chosen",), tokenizer, "chat", 500)
    assert (len(encoded), encoded.control_tokens, encoded.too_long) == (5, 1, 0)
    assert len(encode(tmp_path / "train.parquet", ("chosen",), tokenizer, "hh", 500)) == 6


# --- Where a reply ends ---


def test_a_chat_reply_is_closed_as_the_template_closes_a_turn() -> None:
    tokenizer = kinds.byte_level(kinds.CHATML)
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end_of_reply(tokenizer, "chat") == turn_end
    _, replies = encode_conversations([[{"role": "user", "content": "a"}]], ["b"], tokenizer, "chat")
    assert replies[0][-1] == turn_end


def test_a_chat_reply_ends_at_any_end_token_of_template_tokenizer_and_configuration() -> None:
    tokenizer = kinds.byte_level(kinds.CHATML)
    end, start, turn_end, text = (
        tokenizer.convert_tokens_to_ids(t) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "a")
    )
    configured = GenerationConfig(eos_token_id=[end, start, text])
    assert end_tokens(tokenizer, configured, "chat") == (turn_end, end, start)
    assert end_tokens(tokenizer, GenerationConfig(eos_token_id=end), "chat") == (turn_end, end)
    assert end_tokens(tokenizer, None, "chat") == (turn_end, end)


@pytest.mark.parametrize("prompt_format", ["hh", "plain"])
def test_in_the_other_formats_the_tokenizers_own_end_of_text_counts(prompt_format: PromptFormat) -> None:
    tokenizer = kinds.byte_level(kinds.CHATML)
    assert end_tokens(tokenizer, GenerationConfig(eos_token_id=[1, 2]), prompt_format) == (tokenizer.eos_token_id,)


def test_a_template_that_ends_a_turn_with_the_end_of_text_changes_nothing() -> None:
    tokenizer = kinds.byte_level(kinds.WITHOUT_SYSTEM)
    assert end_tokens(tokenizer, None, "chat") == (tokenizer.eos_token_id,)


SPOKEN = "{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}\n\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        (kinds.CHATML, ()),  # a token ends the turn
        (kinds.CHATML.replace("im_", "xx_"), ("<|xx_end|>",)),  # tokens that the vocabulary lacks
        (SPOKEN + "{% if add_generation_prompt %}ASSISTANT: {% endif %}", ("\n\nUSER:",)),
        ("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", ()),  # nothing says whose turn it is
    ],
)
def test_a_chat_reply_without_an_end_token_ends_where_the_next_turn_starts(
    template: str, texts: tuple[str, ...]
) -> None:
    assert stop_texts(kinds.byte_level(template), "chat") == texts


def test_a_reply_that_is_tokenised_alone_has_no_control_token() -> None:
    # given a tokenizer that merges the prompt's last colon with the reply's space
    tokenizer = kinds.merging()
    _, replies = encode_replies(["ask:"], [" yes<eos>"], tokenizer, "hh")
    assert tokenizer.eos_token_id not in replies[0]

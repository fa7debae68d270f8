"""Prompts and replies as tokens: training sees exactly what generation starts from."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support import tiny_models as tiny
from trustdag.models.dialogue import Message
from trustdag.models.tokens import encode_conversations, encode_prompts, encode_replies
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

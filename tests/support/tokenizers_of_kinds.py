"""Small tokenizers that behave as real models' do: what they add, how a turn ends, what their templates take."""

import json
from typing import TYPE_CHECKING

from tests.support import tiny_models as tiny

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% elif m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)
DROPS_SYSTEM = "{% for m in messages if m['role'] != 'system' %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
WITH_DATE = (
    "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "Today {{ date_string }}\n" + CHATML
)


def byte_level(
    template: str | None = None, end: str = "<|endoftext|>", closed: bool = False
) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer with chat tokens; `closed`: it adds its end-of-text after each text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|padding|>"]
    tokenizer.train_from_iterator(
        tiny.transcripts(36),
        trainers.BpeTrainer(
            vocab_size=340,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if closed:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", 0), ("<|im_start|>", 1)]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|padding|>")
    fast.chat_template = template
    return fast


def merging() -> "PreTrainedTokenizerFast":
    """A tokenizer without words, whose one merge joins a colon and the space after it."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set("\n abcdefghijklmnopqrstuvwxyzHAU?:."))
    vocabulary = {token: number for number, token in enumerate(["<eos>", *letters, ": "])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [(":", " ")]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def pieces() -> "PreTrainedTokenizerFast":
    """A tokenizer like sentencepiece's: a word starts with the mark for its space, unknown letters are bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = [text.replace(" ", "▁") for text in tiny.transcripts(36)]
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        trained, trainers.BpeTrainer(vocab_size=420, special_tokens=special[:3], show_progress=False)
    )
    vocabulary = tokenizer.get_vocab()
    for name in special[3:]:
        vocabulary.setdefault(name, len(vocabulary))
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    tokenizer.model = models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")

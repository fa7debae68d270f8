"""A tiny GPT-NeoX with its own tokenizer, and items, for the tests of generation."""

from pathlib import Path

import pandas as pd

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "hat",
    "red",
    "blue",
    "big",
    "small",
    "and",
    "then",
    "it",
    "was",
    "not",
    "very",
    "happy",
    "sad",
]


def save_model(folder: Path, context: int = 128, seed: int = 0, width: int = 32) -> None:
    """A random model with a byte-level tokenizer whose end of text is not id 0, and a misleading generation config."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|padding|>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([" ".join(WORDS), "\n\nHuman: the cat\n\nAssistant: the dog"] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", pad_token="<|padding|>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer), hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * width, max_position_embeddings=context, initializer_range=0.3,
    )  # fmt: skip
    model = GPTNeoXForCausalLM(config)
    # What generation_config says of the end of text is wrong for many models; the tokenizer's own token counts.
    model.generation_config.eos_token_id = 5
    model.save_pretrained(folder)


def make_items(count: int, options: tuple[str, ...] = (), generate: bool = True) -> pd.DataFrame:
    """Questions of several lengths, in no order of length."""
    rows = []
    for number in range(count):
        words = [WORDS[(number * 7 + place * 3) % len(WORDS)] for place in range(1 + (number * 5) % 23)]
        rows.append(
            {
                "item": f"item{number:03d}",
                "cluster": f"cluster{number // 2}",
                "condition": "benign",
                "messages": [{"role": "user", "content": " ".join(words)}],
                "options": list(options),
                "generate": generate,
            }
        )
    return pd.DataFrame(rows)

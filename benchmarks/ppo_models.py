"""What both sides of the PPO benchmark share: shapes, models from random weights, prompts. Needs transformers alone."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

BATCH, EPOCHS, MINIBATCHES, PROMPTS = 32, 4, 4, 512


@dataclass(frozen=True)
class Shape:
    """A GPT-NeoX, or a Llama where `kv_heads` is given, and the lengths of what it reads and writes."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    prompt: int
    reply: int
    batch: int = BATCH
    context: int = 512
    kv_heads: int | None = None


SHAPES = {
    "conformance": Shape(vocabulary=64, hidden=32, layers=2, heads=2, prompt=9, reply=12, batch=16, context=64),
    "small": Shape(vocabulary=1024, hidden=128, layers=4, heads=4, prompt=32, reply=32),
    "medium": Shape(vocabulary=1024, hidden=384, layers=8, heads=6, prompt=32, reply=64),
    "smollm2": Shape(
        vocabulary=49152, hidden=576, layers=30, heads=9, prompt=128, reply=127, batch=16, kv_heads=3
    ),  # SmolLM2-135M
    "pythia-1.4b": Shape(
        vocabulary=50304, hidden=2048, layers=24, heads=16, prompt=256, reply=128, batch=256, context=2048
    ),
}


def build(shape: Shape, folder: Path, seed: int = 0) -> None:
    """Writes `policy` and `reward` with the tokenizer; both sides of the benchmark start from these weights."""
    torch.manual_seed(seed)
    config = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.context,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 1,
    }
    tokenizer(shape).save_pretrained(folder / "policy")
    if shape.kv_heads is None:
        configuration = GPTNeoXConfig(**config, intermediate_size=4 * shape.hidden)
    else:
        configuration = LlamaConfig(
            **config,
            intermediate_size=shape.hidden * 8 // 3,
            num_key_value_heads=shape.kv_heads,
            tie_word_embeddings=True,
        )
    # A billion random weights take a minute on a CPU.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        AutoModelForCausalLM.from_config(configuration).save_pretrained(folder / "policy")
        configuration.num_labels = 1
        AutoModelForSequenceClassification.from_config(configuration).save_pretrained(folder / "reward")


def steer_ends(folder: Path, end_logit: float) -> None:
    """Makes the policy write ends as often as the logit says, and never the padding token, which TRL would take for
    padding wherever it stands."""
    policy = AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)
    with torch.no_grad():
        policy.gpt_neox.final_layer_norm.weight[0] = 0.0
        policy.gpt_neox.final_layer_norm.bias[0] = 1.0
        policy.get_output_embeddings().weight[:2, 0] = torch.tensor([end_logit, -20.0])
    policy.save_pretrained(folder / "policy")


def tokenizer(shape: Shape) -> PreTrainedTokenizerFast:
    """One word a token: `<end>`, `<pad>`, w2, w3, ..."""
    words = {"<end>": 0, "<pad>": 1} | {f"w{index}": index for index in range(2, shape.vocabulary)}
    words_only = Tokenizer(models.WordLevel(words, unk_token="<pad>"))  # noqa: S106
    words_only.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"eos_token": "<end>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=words_only, padding_side="left", **special)


def prompts(shape: Shape) -> list[list[int]]:
    """Random prompts of the shape's length, as ids."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(2, shape.vocabulary, (PROMPTS, shape.prompt), generator=generator).tolist()

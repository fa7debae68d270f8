"""Every architecture with every kind of tokenizer: right through all stages, or refused with its sentence.

Right means: the loss of SFT's first step, the first loss of DPO and greedy replies are those of transformers' own
forward pass and `generate`; the reward model and PPO end with models that load. `make test` takes each architecture
with one kind of tokenizer, and so each kind with several architectures; `make test-slow` takes all combinations.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import torch

from tests.support import tiny_models as tiny
from tests.support import tokenizers_of_kinds as kinds
from trustdag.align import methods
from trustdag.data.source import Message
from trustdag.errors import UserError
from trustdag.generation.engine import Engine
from trustdag.generation.settings import GenerateSettings
from trustdag.models.acquire import acquire
from trustdag.models.base import Folder
from trustdag.models.dialogue import PromptFormat, render
from trustdag.models.load import load_policy, load_reward, load_tokenizer
from trustdag.models.tokens import encode_conversations, encode_prompts, end_tokens
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NEW_TOKENS = 6
NEXT_TURN = "\n\n(?:Human|Assistant):"
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZES | {"num_key_value_heads": 2, "max_position_embeddings": 256}
HEADS = GROUPED | {"head_dim": 8}
EXPERTS = {"num_experts_per_tok": 2}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", GPT | {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}),  # else the loss is one of chance
    "gpt-neo": ("GPTNeo", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 256,
                           "attention_types": [[["global", "local"], 1]], "window_size": 16}),
    "gpt-j": ("GPTJ", GPT | {"rotary_dim": 4}),
    "gpt-neox": ("GPTNeoX", SIZES | {"max_position_embeddings": 256}),
    "opt": ("OPT", {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                    "max_position_embeddings": 256, "word_embed_proj_dim": 32, "dropout": 0}),
    "llama": ("Llama", GROUPED),
    "mistral": ("Mistral", GROUPED | {"sliding_window": 16}),
    "qwen2": ("Qwen2", GROUPED | {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", HEADS),
    "gemma": ("Gemma", HEADS),
    "gemma2": ("Gemma2", HEADS | {"sliding_window": 16, "final_logit_softcapping": None}),
    "gemma3": ("Gemma3", HEADS | {"sliding_window": 16, "final_logit_softcapping": None}),
    "phi": ("Phi", GROUPED),
    "stablelm": ("StableLm", GROUPED),
    "olmo": ("Olmo", GROUPED),
    "falcon": ("Falcon", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                          "max_position_embeddings": 256}),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "seq_length": 256}),
    "mpt": ("Mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}),
    "mamba": ("Mamba", {"hidden_size": 32, "state_size": 4, "num_hidden_layers": 1}),
    "mixtral": ("Mixtral", GROUPED | EXPERTS | {"num_local_experts": 4}),
    "olmo2": ("Olmo2", GROUPED),
    "starcoder2": ("Starcoder2", GROUPED | {"residual_dropout": 0, "embedding_dropout": 0}),
    "qwen3-moe": ("Qwen3Moe", HEADS | EXPERTS | {"num_experts": 4, "moe_intermediate_size": 16}),
    "gpt-oss": ("GptOss", HEADS | EXPERTS | {"num_local_experts": 4, "sliding_window": 16}),
    "cohere": ("Cohere", GROUPED),
    "glm4": ("Glm4", HEADS),
    "phi3": ("Phi3", GROUPED),
    "smollm3": ("SmolLM3", GROUPED),
    "nemotron": ("Nemotron", GROUPED),
    "granite": ("Granite", GROUPED),
    "codegen": ("CodeGen", GPT | {"rotary_dim": 4, "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}),
    "falcon-h1": ("FalconH1", GROUPED | {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}),
}  # fmt: skip
REFUSED_ARCHITECTURES = {"mamba": "keeps no key-value cache"}
WITHOUT_CLASSIFIER = {"cohere", "granite", "codegen", "falcon-h1"}
"""Architectures that only SFT and DPO can train, because transformers has no sequence classifier for them."""
REFUSED_PAIRS = {("qwen2", "pieces of sentences"): "the tokenizer has 553 tokens, the model only embeds 552"}
"""transformers reads this architecture's tokenizer by a class of its own, which adds a token to this one."""


def without_bos() -> "PreTrainedTokenizerFast":
    """Without a token for the start of a text."""
    tokenizer = kinds.byte_level()
    assert tokenizer.bos_token is None
    return tokenizer


TOKENIZERS: dict[str, tuple[Callable[[], "PreTrainedTokenizerFast"], PromptFormat, int, str | None]] = {
    "no template": (without_bos, "hh", 0, None),
    "no template, asked in chat": (without_bos, "chat", 0, "the tokenizer has no chat template"),
    "adds its end": (lambda: kinds.byte_level(closed=True), "plain", 0, None),
    "ends a turn by a second token": (lambda: kinds.byte_level(kinds.CHATML), "chat", 0, None),
    "refuses a system text": (lambda: kinds.byte_level(kinds.WITHOUT_SYSTEM), "chat", 0, "System role not supported"),
    "drops a system text": (lambda: kinds.byte_level(kinds.DROPS_SYSTEM), "chat", 0, "leaves out the text"),
    "padded vocabulary": (lambda: kinds.byte_level(kinds.CHATML), "chat", 60, None),
    "pieces of sentences": (kinds.pieces, "hh", 0, None),
}
"""How a tokenizer behaves, how the model is asked, tokens by which its vocabulary is padded, and the refusal."""
ALL = [(architecture, kind) for architecture in ARCHITECTURES for kind in TOKENIZERS]
NUMBERS = {name: number for number, name in enumerate(ARCHITECTURES)}
SLOW = {"olmo2", "starcoder2", "glm4", "nemotron", "granite", "codegen", "falcon-h1"}
"""Architectures of a kind that others stand for, or slow ones: in `make test-slow` alone."""
QUICK = [name for name in ARCHITECTURES if name not in SLOW]
SHARE = [(name, list(TOKENIZERS)[NUMBERS[name] % len(TOKENIZERS)]) for name in QUICK]


def build(architecture: str, kind: str, folder: Path) -> Path:
    """A model of random weights with its tokenizer."""
    import transformers

    tokenizer, _, padding, _ = TOKENIZERS[kind]
    made = tokenizer()
    name, sizes = ARCHITECTURES[architecture]
    config_name = f"{name}TextConfig" if name == "Gemma3" else f"{name}Config"
    ids = {"eos_token_id": made.eos_token_id, "pad_token_id": made.pad_token_id, "bos_token_id": made.eos_token_id}
    config = getattr(transformers, config_name)(vocab_size=len(made) + padding, **sizes, **ids)
    torch.manual_seed(0)
    model = getattr(transformers, {"GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM"))(config)
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


class World:
    """A base model, its data, and what is trained on them."""

    def __init__(self, folder: Path, prompt_format: PromptFormat) -> None:
        self.folder, self.prompt_format = folder, prompt_format
        self.data = tiny.write_data(folder / "data", 8)
        self.base = folder / "base" / "model"

    def train(self, method: str, policy: Path, reward: Path | None = None, **settings: Any) -> dict[str, Any]:
        """Trains a stage for a step; returns the first line of its metrics."""
        stage = Stage(
            method=method, policy=policy, reward=reward, data=self.data, seed=0, prompt_format=self.prompt_format,
            out=self.folder / method,
        )  # fmt: skip
        module = methods()[method]
        module.train(stage, module.Settings(batch_size=8, max_length=200, log_every=1, learning_rate=1e-4, **settings))
        return tiny.lines(stage.metrics)[0]


def plain_loss(world: World) -> float:
    """The mean cross-entropy of the replies' tokens, each text read alone by transformers."""
    model, tokenizer = load_policy(world.base), load_tokenizer(world.base)
    frame = pd.read_parquet(world.data / "train.parquet")
    conversations = [list(prompt) for prompt in frame["prompt"]]
    total, count = 0.0, 0
    for prompt, reply in zip(
        *encode_conversations(conversations, frame["chosen"].tolist(), tokenizer, world.prompt_format), strict=True
    ):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(reply), reduction="sum").item()
        count += len(reply)
    return total / count


def replies(world: World) -> tuple[list[str], list[str]]:
    """Greedy replies of the base model to two questions: ours, and those of transformers, one question at a time."""
    tokenizer = load_tokenizer(world.base)
    questions = [
        [Message(role="user", content=text)] for text in ("Give Ana the stone.", "Give Bo a river and a lamp.")
    ]
    items = pd.DataFrame({"item": ["a", "b"], "messages": questions, "options": [[], []], "generate": True})
    settings = GenerateSettings(max_new_tokens=NEW_TOKENS)
    engine = Engine(load_policy(world.base), tokenizer, world.prompt_format, settings)
    ours = engine.generate(items, world.folder / "partial", "key")["reply"].tolist()
    model, theirs = load_policy(world.base), []
    unknown = list(range(len(tokenizer), model.get_output_embeddings().weight.shape[0]))
    for question in questions:
        text = render(question, tokenizer, world.prompt_format)
        (ids,) = encode_prompts([text], tokenizer, world.prompt_format)
        made = model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
            max_new_tokens=NEW_TOKENS, pad_token_id=tokenizer.pad_token_id, suppress_tokens=unknown or None,
            eos_token_id=list(end_tokens(tokenizer, model.generation_config, world.prompt_format)),
        )  # fmt: skip
        new = made[0, len(ids) :]
        reply = tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        theirs.append(re.split(NEXT_TURN, reply)[0] if world.prompt_format == "hh" else reply)
    return ours, theirs


def goes_right_or_is_refused(architecture: str, kind: str, folder: Path) -> None:
    """One combination through base, generate, SFT, reward, DPO and PPO."""
    _, prompt_format, _, refusal = TOKENIZERS[kind]
    model = build(architecture, kind, folder / "given")
    refusal = REFUSED_ARCHITECTURES.get(architecture) or REFUSED_PAIRS.get((architecture, kind), refusal)
    if refusal is not None:
        with pytest.raises(UserError, match=refusal):
            acquire(Folder(path=str(model)), prompt_format, folder / "base")
        return
    acquire(Folder(path=str(model)), prompt_format, folder / "base")
    world = World(folder, prompt_format)
    ours, theirs = replies(world)
    assert ours == theirs
    first = world.train("sft", world.base, max_steps=1)
    assert first["loss"] == pytest.approx(plain_loss(world), rel=1e-4)
    policy = folder / "sft" / "model"
    assert world.train("dpo", policy, max_steps=1)["loss"] == pytest.approx(math.log(2), abs=1e-4)
    if architecture in WITHOUT_CLASSIFIER:
        with pytest.raises(UserError, match="no reward model can start from it"):
            world.train("reward", policy, max_steps=1)
        return
    world.train("reward", policy, max_steps=1)
    reward = folder / "reward" / "model"
    world.train("ppo", policy, reward, updates=1, epochs=1, minibatches=1, max_new_tokens=NEW_TOKENS)
    assert load_reward(reward).num_parameters() > 0
    assert load_policy(folder / "ppo" / "model").num_parameters() == load_policy(world.base).num_parameters()


@pytest.mark.parametrize(("architecture", "kind"), SHARE)
def test_each_architecture_goes_right_or_is_refused(architecture: str, kind: str, tmp_path: Path) -> None:
    goes_right_or_is_refused(architecture, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "kind"), [pair for pair in ALL if pair not in SHARE])
def test_each_combination_goes_right_or_is_refused(architecture: str, kind: str, tmp_path: Path) -> None:
    goes_right_or_is_refused(architecture, kind, tmp_path)

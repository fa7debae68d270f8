"""A GGUF file becomes an ordinary model folder, or is refused by name."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from trustdag.artifacts import sha256_file
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.models.acquire import acquire, open_structure
from trustdag.models.base import Gguf
from trustdag.models.load import load_policy, load_tokenizer

gguf = pytest.importorskip("gguf", reason="the package gguf, which reads such files, is optional and not installed")

HIDDEN, LAYERS, HEADS, KV_HEADS, INNER, CONTEXT = 32, 2, 4, 2, 64, 128
WORDS, MERGED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "th"


@pytest.fixture
def model() -> LlamaForCausalLM:
    """A Llama with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary()), hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, intermediate_size=INNER, max_position_embeddings=CONTEXT, initializer_range=0.3,
        tie_word_embeddings=False, rope_theta=10_000.0, rms_norm_eps=1e-5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def vocabulary() -> list[str]:
    """Control tokens, and the characters by which byte-level tokenizers write the 256 bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [*WORDS, *bytes_to_unicode().values(), MERGED]


def write(
    path: Path, model: LlamaForCausalLM, architecture: str = "llama", merge: str = "t h", layers: int = LAYERS
) -> Gguf:
    """The model as llama.cpp would write it, in fp32; returns the settings that name it."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary()))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary())
    kinds = [gguf.TokenType.CONTROL] * len(WORDS) + [gguf.TokenType.NORMAL] * 257
    writer.add_token_types(kinds)
    writer.add_token_merges([merge])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}")
    for name, value in model.state_dict().items():
        writer.add_tensor(llama_cpp_name(name), permuted(name, value).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Gguf(path=str(path), sha256=sha256_file(path))


NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "model.layers": "blk",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def llama_cpp_name(name: str) -> str:
    """A weight's name in llama.cpp."""
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def permuted(name: str, value: torch.Tensor) -> torch.Tensor:
    """Queries and keys in llama.cpp's order: the two halves of each head's rotary dimensions interleaved."""
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2])
    if heads is None:
        return value
    return value.view(heads, 2, HIDDEN // HEADS // 2, HIDDEN).swapaxes(1, 2).reshape(value.shape).contiguous()


def test_a_file_becomes_a_folder_with_the_same_weights_and_its_tokenizer(
    model: LlamaForCausalLM, tmp_path: Path
) -> None:
    # given
    settings = write(tmp_path / "small.gguf", model)
    # when
    acquire(settings, "chat", tmp_path / "base")
    # then
    loaded, tokenizer = load_policy(tmp_path / "base" / "model"), load_tokenizer(tmp_path / "base" / "model")
    ids = tokenizer("hello there", return_tensors="pt").input_ids
    assert torch.allclose(loaded(ids).logits, model(ids).logits, atol=1e-4)
    assert tokenizer.decode(ids[0]) == "hello there"
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.chat_template
    # and it says that its weights were written out
    assert "dequantised copy of small.gguf" in (tmp_path / "base" / "model" / "README.md").read_text()
    assert read_json(tmp_path / "base" / "manifest.json")["kind"] == "policy"
    assert AutoTokenizer.from_pretrained(tmp_path / "base" / "model").eos_token == "<|im_end|>"


def test_a_file_with_a_weight_missing_is_refused(model: LlamaForCausalLM, tmp_path: Path) -> None:
    class Without(LlamaForCausalLM):
        def state_dict(self) -> dict[str, torch.Tensor]:
            whole = super().state_dict()
            return {name: value for name, value in whole.items() if not name.endswith("1.mlp.up_proj.weight")}

    partial = Without(model.config)
    settings = write(tmp_path / "small.gguf", partial)
    with pytest.raises(UserError, match=r"small\.gguf: the weights do not fit the model: 1 weights missing"):
        acquire(settings, "plain", tmp_path / "base")
    assert not (tmp_path / "base" / "model").exists()


def test_an_architecture_that_transformers_cannot_read_is_named(model: LlamaForCausalLM, tmp_path: Path) -> None:
    settings = write(tmp_path / "other.gguf", model, architecture="nosuch")
    with pytest.raises(UserError, match=r"other\.gguf: .*nosuch"):
        acquire(settings, "plain", tmp_path / "base")


def test_a_tokenizer_that_does_not_fit_together_is_refused(model: LlamaForCausalLM, tmp_path: Path) -> None:
    settings = write(tmp_path / "merges.gguf", model, merge="q q")
    with pytest.raises(UserError, match=r"merges\.gguf: no tokenizer can be read from it .*`qq` out of vocabulary"):
        acquire(settings, "plain", tmp_path / "base")


def test_a_file_that_is_cut_short_is_refused(model: LlamaForCausalLM, tmp_path: Path) -> None:
    write(tmp_path / "cut.gguf", model)
    content = (tmp_path / "cut.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[: len(content) // 2])
    settings = Gguf(path=str(tmp_path / "cut.gguf"), sha256=sha256_file(tmp_path / "cut.gguf"))
    with pytest.raises(UserError, match=r"cut\.gguf: the model cannot be loaded"):
        acquire(settings, "plain", tmp_path / "base")


# --- Before anything is loaded ---


def test_the_structure_of_a_file_is_that_of_the_model_that_it_becomes(model: LlamaForCausalLM, tmp_path: Path) -> None:
    # when
    opened = open_structure(write(tmp_path / "small.gguf", model), "chat")
    # then
    assert opened is not None
    assert {name: weight.shape for name, weight in opened.model.state_dict().items()} == {
        name: weight.shape for name, weight in model.state_dict().items()
    }
    assert opened.model.device.type == "meta"
    assert opened.tokenizer.eos_token == "<|im_end|>"


@pytest.mark.parametrize(("architecture", "message"), [("mystery", "cannot be loaded"), ("llama", "SHA-256")])
def test_a_file_is_refused_by_its_structure_as_by_its_weights(
    model: LlamaForCausalLM, tmp_path: Path, architecture: str, message: str
) -> None:
    # given
    settings = write(tmp_path / "small.gguf", model, architecture)
    if message == "SHA-256":
        settings = settings.model_copy(update={"sha256": "0" * 64})
    # when
    said = []
    for take in (lambda: open_structure(settings, "chat"), lambda: acquire(settings, "chat", tmp_path / "base")):
        with pytest.raises(UserError, match=message) as raised:
            take()
        said.append(str(raised.value))
    # then
    assert said[0] == said[1]


def test_a_file_that_becomes_larger_than_memory_is_refused(
    model: LlamaForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = write(tmp_path / "small.gguf", model)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(10**8))  # processes that share the memory
    with pytest.raises(UserError, match=r"small\.gguf: .* need .* GB of memory, .* would fit"):
        acquire(settings, "chat", tmp_path / "base")


def test_a_header_of_a_million_layers_is_refused_at_once(model: LlamaForCausalLM, tmp_path: Path) -> None:
    settings = write(tmp_path / "deep.gguf", model, layers=10**6)
    for take in (lambda: open_structure(settings, "chat"), lambda: acquire(settings, "chat", tmp_path / "base")):
        with pytest.raises(UserError, match=r"deep\.gguf: .*its header says 1,000,000 layers"):
            take()

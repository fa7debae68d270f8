"""Model folders: what can be loaded, and what is refused with the mend."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import tiny_models as tiny
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.models.acquire import acquire
from trustdag.models.base import Base, Folder, Gguf, Hub
from trustdag.models.load import (
    UNLIMITED,
    check_length,
    context_length,
    load_config,
    load_policy,
    load_reward,
    load_tokenizer,
    new_reward,
)

# --- Tokenizer ---


def test_the_tokenizer_knows_its_end_of_text_and_its_padding(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<|padding|>")
    assert tokenizer("a<|endoftext|>", add_special_tokens=False)["input_ids"][-1] == tokenizer.eos_token_id


def test_a_padding_token_in_the_vocabulary_is_found_where_none_is_configured(folder: Path) -> None:
    tiny.edit_json(folder / "tokenizer_config.json", pad_token=None)
    assert load_tokenizer(folder).pad_token == "<|padding|>"


def test_a_tokenizer_without_end_of_text_is_refused(folder: Path) -> None:
    tiny.edit_json(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(UserError, match=r"no end-of-text token; name one as `eos_token` in tokenizer_config\.json"):
        load_tokenizer(folder)


def test_a_folder_without_tokenizer_is_refused(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError, match=r"no tokenizer .* copy its files beside the weights"):
        load_tokenizer(folder)


def test_a_tokenizer_that_does_not_fit_together_is_refused(folder: Path) -> None:
    content = read_json(folder / "tokenizer.json")
    content["model"]["merges"].append(["q", "<no such token>"])
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="the tokenizer cannot be read here"):
        load_tokenizer(folder)


def change_tokenizer(folder: Path, **changes: Any) -> None:
    """Changes parts of tokenizer.json; those of its model start with `model_`."""
    content = read_json(folder / "tokenizer.json")
    for name, value in changes.items():
        part = content["model"] if name.startswith("model_") else content
        part[name.removeprefix("model_")] = value
    (folder / "tokenizer.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_dropout": 0.5}, "splits a text at random; set `dropout` to null"),
        ({"decoder": None}, r"decodes 'No, I disagree with it\.' as .*, so replies could not be read"),
    ],
)
def test_a_tokenizer_that_no_reply_can_be_read_with_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    change_tokenizer(folder, **changes)
    with pytest.raises(UserError, match=message):
        acquire(Folder(path=str(folder)), "hh", tmp_path / "out")


def test_a_fault_of_the_configuration_is_not_called_one_of_the_tokenizer(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", layer_norm_eps="small")
    with pytest.raises(UserError, match=r"the model's configuration cannot be read here \(.*layer_norm_eps.*: .*small"):
        load_tokenizer(folder)


# --- Weights ---


def test_what_a_configuration_makes_forward_passes_return_is_not_of_the_model(folder: Path, tmp_path: Path) -> None:
    tiny.edit_json(folder / "config.json", return_dict=False, output_hidden_states=True)
    acquire(Folder(path=str(folder)), "hh", tmp_path / "out")
    assert load_policy(tmp_path / "out" / "model")(torch.arange(4)[None]).hidden_states is None


def test_a_model_that_computes_no_numbers_is_refused(folder: Path, tmp_path: Path) -> None:
    tiny.edit_json(folder / "config.json", layer_norm_eps=-1e9)
    with pytest.raises(UserError, match="predictions are not finite numbers"):
        acquire(Folder(path=str(folder)), "hh", tmp_path / "out")


def test_a_policy_is_loaded_in_full_precision(folder: Path) -> None:
    assert load_policy(folder).dtype == torch.float32


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for load in (load_tokenizer, load_policy, load_reward, load_config):
        with pytest.raises(UserError, match=f"{tmp_path / 'nowhere'}: no such model folder"):
            load(tmp_path / "nowhere")


def test_pickled_weights_are_refused_and_never_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(UserError, match=r"pytorch_model\.bin is a pickle.*convert it to safetensors"):
        load_policy(folder)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no weights \(\*\.safetensors\)"):
        load_policy(folder)


def test_a_policy_does_not_pass_for_a_reward_model(folder: Path) -> None:
    with pytest.raises(UserError, match=r"holds a policy model .* where a reward model is needed"):
        load_reward(folder)


def test_a_new_reward_model_has_one_score_and_weights_by_its_seed(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    first, again, other = (new_reward(folder, tokenizer, seed) for seed in (1, 1, 2))
    ids = tokenizer(["one text", "another, longer text"], return_tensors="pt", padding=True)
    assert first(**ids).logits.shape == (2, 1)
    assert torch.equal(first.score.weight, again.score.weight)
    assert not torch.equal(first.score.weight, other.score.weight)


def test_a_reward_model_with_two_scores_is_refused(folder: Path) -> None:
    tiny.edit_json(
        folder / "config.json", architectures=["GPTNeoXForSequenceClassification"], id2label={"0": "a", "1": "b"}
    )
    with pytest.raises(UserError, match="one score, this one has 2"):
        load_reward(folder)


def test_a_length_beyond_the_context_is_refused(folder: Path) -> None:
    config = load_config(folder)
    check_length(folder, config, 64)
    with pytest.raises(UserError, match=r"max_length: 65 tokens do not fit the context .* which is 64"):
        check_length(folder, config, 65)


@pytest.mark.parametrize(
    ("name", "sizes", "length"),
    [
        ("BloomConfig", {}, None),
        ("MptConfig", {"max_seq_len": 128}, 128),
        ("MambaConfig", {}, None),
        ("GPT2Config", {"n_positions": 32}, 32),
    ],
)
def test_every_architecture_has_a_context(name: str, sizes: dict[str, int], length: int | None) -> None:
    import transformers

    assert context_length(getattr(transformers, name)(**sizes)) == (length or UNLIMITED)


# --- Models that exist already ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [({}, "BertForMaskedLM reads the text after a token too"), ({"architectures": None}, "depend on later tokens")],
)
def test_a_model_that_reads_ahead_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, None], message: str
) -> None:
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = load_tokenizer(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    if changes:
        tiny.edit_json(tmp_path / "bert" / "config.json", **changes)
    with pytest.raises(UserError, match=message):
        acquire(Folder(path=str(tmp_path / "bert")), "hh", tmp_path / "out")


def test_a_model_with_code_of_its_own_is_refused(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", model_type="other", auto_map={"AutoConfig": "configuration_other.Config"})
    with pytest.raises(UserError, match="needs Python code that comes with it, which is never run"):
        load_policy(folder)


def test_a_recurrent_model_is_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    tokenizer = load_tokenizer(folder)
    MambaForCausalLM(
        MambaConfig(vocab_size=len(tokenizer), hidden_size=16, state_size=4, num_hidden_layers=1)
    ).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    with pytest.raises(UserError, match="MambaForCausalLM keeps no key-value cache"):
        acquire(Folder(path=str(tmp_path / "mamba")), "hh", tmp_path / "out")


def test_a_gguf_file_of_another_digest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match=rf"model\.gguf: its SHA-256 is [0-9a-f]{{64}}, not the {'0' * 64}"):
        acquire(Gguf(path=str(tmp_path / "model.gguf"), sha256="0" * 64), "hh", tmp_path / "out")


def test_a_local_folder_becomes_a_model_of_the_study(folder: Path, tmp_path: Path) -> None:
    acquire(Folder(path=str(folder)), "hh", tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["kind"] == "policy"
    assert manifest["parameters"] == load_policy(folder).num_parameters()
    assert manifest["files"]["model.safetensors"]
    assert (tmp_path / "out" / "model" / "model.safetensors").is_symlink()  # weights are not copied
    assert load_tokenizer(tmp_path / "out" / "model").eos_token == "<|endoftext|>"
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == ""


def test_an_existing_reward_model_can_stand_for_a_stage(folder: Path, tmp_path: Path) -> None:
    new_reward(folder, load_tokenizer(folder), 0).save_pretrained(tmp_path / "reward")
    load_tokenizer(folder).save_pretrained(tmp_path / "reward")
    acquire(Folder(path=str(tmp_path / "reward"), kind="reward"), "hh", tmp_path / "out")
    assert read_json(tmp_path / "out" / "manifest.json")["kind"] == "reward"
    with pytest.raises(UserError, match="holds a reward model"):
        acquire(Folder(path=str(tmp_path / "reward")), "hh", tmp_path / "other")
    assert not (tmp_path / "other" / "manifest.json").exists()


def test_a_chat_format_needs_a_template(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no chat template"):
        acquire(Folder(path=str(folder)), "chat", tmp_path / "out")


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens([f"word{number}" for number in range(500)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="do not belong together"):
        acquire(Folder(path=str(folder)), "hh", tmp_path / "out")


def test_without_a_network_the_error_names_the_model_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"nobody/nothing at 0{40}: cannot be fetched .* `source: folder` with its `path`"
    ):
        acquire(Hub(name="nobody/nothing", revision="0" * 40), "hh", tmp_path / "out")


@pytest.mark.parametrize("revision", ["main", "v1.0", "0" * 39, "G" * 40])
def test_a_revision_that_can_move_is_refused(revision: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        Base.model_validate({"source": "hub", "name": "EleutherAI/pythia-70m", "revision": revision})


def test_the_source_says_which_settings_are_read() -> None:
    with pytest.raises(ValueError, match="steps"):
        Base.model_validate({"source": "folder", "path": "x", "steps": 3})
    with pytest.raises(ValueError, match="source"):
        Base.model_validate({"path": "x"})

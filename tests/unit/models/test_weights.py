"""Weights: all of them come from the files, or loading says in one line what is wrong and how to mend it."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tests.support import tiny_models as tiny
from trustdag.cli import main
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.models.acquire import acquire
from trustdag.models.base import Folder
from trustdag.models.convert import convert
from trustdag.models.load import load_policy, load_reward, load_tokenizer, new_reward


def rename(folder: Path, name_of: Callable[[str], str]) -> None:
    """Renames the weights in a folder's file."""
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name_of(name): value for name, value in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def split(folder: Path) -> list[Path]:
    """Writes the folder's weights as several files with an index."""
    model = load_policy(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")
    return sorted(folder.glob("model-*.safetensors"))


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(20)[None]).logits


# --- What is missing, or too much, is named ---


def test_a_model_without_its_head_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (head,) = (name for name in weights if "embed_out" in name or "lm_head" in name)
    save_file({n: v for n, v in weights.items() if n != head}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights missing, the first is lm_head\.weight; save it again"):
        load_policy(folder)


def test_a_configuration_with_one_layer_more_is_refused(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", num_hidden_layers=3)
    for load in (load_policy, lambda path: new_reward(path, load_tokenizer(path), 0)):
        with pytest.raises(UserError, match=r"\d+ weights missing, the first is gpt_neox\.layers\.2"):
            load(folder)


def test_a_configuration_with_one_layer_less_is_refused(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", num_hidden_layers=1)
    with pytest.raises(UserError, match=r"12 weights that the model does not have, the first is gpt_neox\.layers\.1"):
        load_policy(folder)


def test_a_vocabulary_of_another_size_is_refused_with_both_shapes(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", vocab_size=350)
    with pytest.raises(UserError, match=r"2 weights of another size .* the first is .* \(333, 32\), not \(350, 32\)"):
        load_policy(folder)


def test_a_reward_model_without_its_score_is_refused(folder: Path, tmp_path: Path) -> None:
    new_reward(folder, load_tokenizer(folder), 0).save_pretrained(tmp_path / "reward")
    rename(tmp_path / "reward", lambda name: name.replace("score.", "other."))
    with pytest.raises(UserError, match=r"1 weights missing, the first is score\.weight"):
        load_reward(tmp_path / "reward")


def test_tied_heads_are_not_missing(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=32, n_embd=16, n_layer=1, n_head=2))
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(load_policy(tmp_path)), logits(model))


def test_a_head_of_its_own_is_kept_whatever_the_configuration_says_of_tying(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=300, tie_word_embeddings=False, **sizes))
    model.save_pretrained(tmp_path / "model")
    tiny.edit_json(tmp_path / "model" / "config.json", tie_word_embeddings=True)
    # When it is loaded, saved and loaded again, then it is the same model, and its configuration says so.
    load_policy(tmp_path / "model").save_pretrained(tmp_path / "again")
    assert torch.equal(logits(load_policy(tmp_path / "again")), logits(model))
    assert read_json(tmp_path / "again" / "config.json")["tie_word_embeddings"] is False


# --- The advice in the errors works ---


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "base_model.model.",
        "pretrained_model.",
        "module._orig_mod.",
        "_fsdp_wrapped_module.",
        "policy.",
        "a.b.",
    ],
)
def test_a_wrapped_checkpoint_is_mended_by_the_command_in_the_error(folder: Path, tmp_path: Path, prefix: str) -> None:
    expected = logits(load_policy(folder))
    rename(folder, lambda name: prefix + name)
    with pytest.raises(UserError, match=rf"the first is {re.escape(prefix)}") as error:
        load_policy(folder)
    run_advice(str(error.value), tmp_path / "new")
    assert torch.equal(logits(load_policy(tmp_path / "new")), expected)
    assert load_tokenizer(tmp_path / "new").eos_token == "<|endoftext|>"


@pytest.mark.parametrize("part", ["_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod."])
def test_a_wrapper_of_single_layers_is_taken_off_by_the_command_in_the_error(
    folder: Path, tmp_path: Path, part: str
) -> None:
    expected = logits(load_policy(folder))
    rename(folder, lambda name: name.replace("layers.1.", f"layers.1.{part}"))
    with pytest.raises(UserError, match=r"12 names of weights that a wrapper has written") as error:
        load_policy(folder)
    run_advice(str(error.value), tmp_path / "new")
    assert torch.equal(logits(load_policy(tmp_path / "new")), expected)


def test_two_weights_of_one_name_are_not_chosen_from(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(folder / "model.safetensors")
    copies = {f"module.{name}": value + 1 for name, value in weights.items()}
    save_file(weights | copies, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["convert", str(folder), str(tmp_path / "new")]) == 2
    assert "two weights would be" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_an_adapter_that_was_not_merged_is_neither_dropped_nor_loaded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(folder / "model.safetensors")
    inside = {"gpt_neox.layers.0.mlp.dense_h_to_4h.lora_A.default.weight": torch.zeros(2, 32)}
    save_file(weights | inside, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights of an adapter that was not merged.*merge_and_unload"):
        load_policy(folder)
    assert main(["convert", str(folder), str(tmp_path / "new")]) == 2
    assert "of an adapter that was not merged" in capsys.readouterr().err


def test_a_value_head_is_taken_off_by_the_command_in_the_error(folder: Path, tmp_path: Path) -> None:
    expected = logits(load_policy(folder))
    weights = load_file(folder / "model.safetensors") | {"v_head.summary.weight": torch.zeros(1, 32)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the first is v_head\.summary\.weight") as error:
        load_policy(folder)
    run_advice(str(error.value), tmp_path / "new")
    assert torch.equal(logits(load_policy(tmp_path / "new")), expected)


def test_an_adapter_is_merged_by_the_command_in_the_error(folder: Path, tmp_path: Path) -> None:
    adapted = with_adapter(folder, tmp_path / "adapter")
    with pytest.raises(UserError, match=r"an adapter \(adapter_config\.json\), not a whole model") as error:
        load_policy(tmp_path / "adapter")
    run_advice(str(error.value).replace("BASE_FOLDER", str(folder)), tmp_path / "new")
    torch.testing.assert_close(logits(load_policy(tmp_path / "new")), adapted, rtol=1e-4, atol=1e-4)
    assert load_tokenizer(tmp_path / "new").eos_token == "<|endoftext|>"


def lose_half(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if "layers.1" not in name}


def gain_a_layer(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return weights | {name.replace("layers.1", "layers.2"): value.clone() for name, value in weights.items()}


@pytest.mark.parametrize(("change", "message"), [(lose_half, "are missing"), (gain_a_layer, "are not of")])
def test_an_adapter_of_another_base_or_cut_short_is_refused(
    folder: Path,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_adapter(folder, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    assert main(["convert", str(tmp_path / "adapter"), str(tmp_path / "new"), "--base", str(folder)]) == 2
    assert f"weights of the adapter {message}" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_an_adapter_beside_full_weights_is_never_added_in_silence(folder: Path, tmp_path: Path) -> None:
    adapted = with_adapter(folder, folder)
    with pytest.raises(UserError, match=r"holds full weights and an adapter") as error:
        load_policy(folder)
    run_advice(str(error.value), tmp_path / "new")
    torch.testing.assert_close(logits(load_policy(tmp_path / "new")), adapted, rtol=1e-4, atol=1e-4)


def test_an_adapter_without_a_base_names_the_base(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_adapter(folder, tmp_path / "adapter")
    assert main(["convert", str(tmp_path / "adapter"), str(tmp_path / "new")]) == 2
    assert "the adapter's base model is" in capsys.readouterr().err


def test_a_plain_model_has_nothing_to_convert(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(folder), str(tmp_path / "new")]) == 2
    assert "nothing to convert" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["policy", "reward"])
def test_pickled_weights_are_mended_by_the_code_in_the_error(folder: Path, tmp_path: Path, kind: str) -> None:
    load = load_policy if kind == "policy" else load_reward
    if kind == "reward":
        tokenizer = load_tokenizer(folder)
        new_reward(folder, tokenizer, 0).save_pretrained(folder)
    expected = logits(load(folder))
    torch.save(load(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"pytorch_model\.bin is a pickle") as error:
        load(folder)
    code = str(error.value).split("in Python: ")[1].replace("NEW_FOLDER", str(tmp_path / "new"))
    exec(code, {})
    assert torch.equal(logits(load(tmp_path / "new")), expected)
    assert load_tokenizer(tmp_path / "new").eos_token == "<|endoftext|>"


def run_advice(message: str, out: Path) -> None:
    """Runs the command between backticks in an error."""
    program, *words = shlex.split(message.split("`")[1].replace("NEW_FOLDER", str(out)))
    assert program == "trustdag"
    assert main(words) == 0


def test_an_adapter_whose_merged_model_computes_something_else_is_refused(tmp_path: Path) -> None:
    # given an adapter of embeddings to which the output layer is tied: merged, it changes both
    from peft import LoraConfig, get_peft_model

    config = LlamaConfig(
        vocab_size=340, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "tied")
    load_tokenizer(tiny.write_base(tmp_path / "other")).save_pretrained(tmp_path / "tied")
    settings = LoraConfig(r=2, target_modules=["embed_tokens"], task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(load_policy(tmp_path / "tied"), settings).save_pretrained(tmp_path / "adapter")
    # then
    with pytest.raises(UserError, match=r"adapter: merged with its base, the adapter computes something else"):
        convert(tmp_path / "adapter", tmp_path / "new", tmp_path / "tied")
    assert not (tmp_path / "new").exists()


def test_an_adapter_that_is_no_change_of_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    from peft import PrefixTuningConfig, get_peft_model

    settings = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(load_policy(folder), settings).save_pretrained(tmp_path / "adapter")
    with pytest.raises(UserError, match="of the kind PREFIX_TUNING, which cannot be merged"):
        convert(tmp_path / "adapter", tmp_path / "new", folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight * float("nan"), "adapter: the adapter cannot be merged .*NaN"),
        (lambda weight: weight.to(torch.int8), r"adapter_model\.safetensors: quantized \(base_model"),
    ],
)
def test_weights_of_an_adapter_that_are_no_numbers_are_refused(
    folder: Path, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    with_adapter(folder, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: change(weight) for name, weight in load_file(path).items()}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=message):
        convert(tmp_path / "adapter", tmp_path / "new", folder)


def test_a_damaged_adapter_and_a_base_of_another_kind_are_named(folder: Path, tmp_path: Path) -> None:
    with_adapter(folder, tmp_path / "adapter")
    tiny.edit_json(tmp_path / "adapter" / "adapter_config.json", task_type="SEQ_CLS")
    with pytest.raises(UserError, match=f"^{folder}: holds a policy model"):
        convert(tmp_path / "adapter", tmp_path / "new", folder)
    (tmp_path / "adapter" / "adapter_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: a pointer of git-lfs"):
        convert(tmp_path / "adapter", tmp_path / "new", folder)


def with_adapter(folder: Path, out: Path) -> torch.Tensor:
    """Writes a LoRA adapter of the model in `folder` to `out`; returns the logits of the adapted model."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(load_policy(folder), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(out)
    return logits(model)


# --- Damaged folders: one line each ---


def test_a_file_that_is_cut_short_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"model\.safetensors: damaged or cut short .*; fetch it again"):
        load_policy(folder)


def test_a_pointer_of_git_lfs_is_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(UserError, match=r"model\.safetensors: a pointer of git-lfs, not the weights; fetch it again"):
        load_policy(folder)


def test_a_missing_part_of_the_weights_is_named(folder: Path) -> None:
    parts = split(folder)
    assert load_policy(folder).num_parameters()
    parts[1].unlink()
    with pytest.raises(UserError, match=rf"1 of {len(parts)} weight files are missing, the first is {parts[1].name}"):
        load_policy(folder)


def test_a_weight_in_two_parts_is_refused(folder: Path) -> None:
    first, second, *_ = split(folder)
    name, value = next(iter(load_file(first).items()))
    save_file(load_file(second) | {name: value + 1}, second, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"{re.escape(name)} is in {second.name} and in another file"):
        load_policy(folder)


def test_parts_beside_a_whole_file_are_two_sets_of_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    split(folder)
    (folder / "model.safetensors").write_bytes(whole)
    with pytest.raises(UserError, match="two sets of weights; remove the one that is not meant"):
        load_policy(folder)


def test_a_file_that_the_model_does_not_use_is_not_read(folder: Path) -> None:
    (folder / "consolidated.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    load_policy(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantized_weights_are_not_taken_for_numbers(folder: Path, dtype: torch.dtype) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"
    save_file(weights | {name: weights[name].to(dtype)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"quantized weights \({re.escape(name)} is .*GGUF file"):
        load_policy(folder)


def test_a_quantized_model_is_refused_by_its_configuration(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(UserError, match=r"quantized weights \(quantization_config: fp8\)"):
        load_policy(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_when_the_model_is_taken_in(
    folder: Path, tmp_path: Path, value: float
) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "gpt_neox.final_layer_norm.weight"
    weights[name][3] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"{re.escape(name)} has numbers that are not finite"):
        acquire(Folder(path=str(folder)), "hh", tmp_path / "out")


def test_parts_without_their_index_are_refused(folder: Path) -> None:
    split(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"stands without model\.safetensors\.index\.json"):
        load_policy(folder)


# --- What cannot be saved again ---


def test_sampling_flags_that_cannot_be_saved_are_dropped(folder: Path, tmp_path: Path) -> None:
    tiny.edit_json(folder / "generation_config.json", do_sample=False, temperature=0.9, top_p=0.6)
    model = load_policy(folder)
    model.generation_config.pad_token_id = 1  # as the Trainer does, after which saving is strict
    model.save_pretrained(tmp_path / "saved")
    assert load_policy(tmp_path / "saved").generation_config.temperature is None


def test_a_generation_configuration_that_makes_no_sense_is_refused_at_once(folder: Path) -> None:
    tiny.edit_json(folder / "generation_config.json", max_new_tokens=-1)
    with pytest.raises(UserError, match="`max_new_tokens` must be greater than 0, but is -1"):
        load_policy(folder)

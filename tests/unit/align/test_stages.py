"""SFT, the reward model and DPO: known effects, outputs, what is dropped and what is refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.support import tiny_models as tiny
from trustdag.align import continued, methods
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json, read_jsonl
from trustdag.models.load import load_policy, load_reward, load_tokenizer
from trustdag.models.tokens import encode_conversations
from trustdag.report.gather import left_out
from trustdag.train.pairs import EncodedReplies
from trustdag.train.session import batches
from trustdag.train.settings import Lora

LORA = {"rank": 4, "alpha": 8}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of random weights (`base`), one fine-tuned on the pairs (`sft`), and the data."""
    folder = tmp_path_factory.mktemp("world")
    tiny.write_data(folder / "data")
    tiny.write_base(folder / "base")
    train("sft", folder, "base", folder / "sft", epochs=8)
    return folder


def train(method: str, world: Path, policy: str, out: Path, **changes: Any) -> Path:
    """Runs a stage with settings that suit the tiny model; returns its output folder."""
    module = methods()[method]
    common = {"batch_size": 8, "max_length": 64, "learning_rate": 5e-3, "log_every": 5}
    settings = module.Settings(**{**common, **changes})
    module.train(tiny.stage(method, world / policy / "model", world / "data", out), settings)
    return out


def test_the_control_reads_one_reply_of_each_pair_whichever_was_preferred() -> None:
    # Given pairs whose replies tell which was chosen
    prompts = [[1]] * 200
    pairs = EncodedReplies(prompts, {"chosen": [[2, 3]] * 200, "rejected": [[4]] * 200}, too_long=0, rows=[*range(200)])
    # When the control's texts are made
    made = continued.examples(pairs)
    # Then each pair gives one text, about half of them the rejected reply, without loss on the prompt,
    assert len(made["input_ids"]) == 200
    assert 70 < made["input_ids"].count([1, 4]) < 130
    assert made["input_ids"].count([1, 4]) + made["input_ids"].count([1, 2, 3]) == 200
    assert {labels[0] for labels in made["labels"]} == {-100}
    # the same every time.
    assert continued.examples(pairs) == made


def test_the_control_takes_as_many_steps_as_sft(world: Path, tmp_path: Path) -> None:
    def steps(folder: Path) -> float:
        return max(line["step"] for line in read_jsonl(folder / "metrics.jsonl"))

    sft, control = (train(method, world, "base", tmp_path / method) for method in ("sft", "continued"))
    assert steps(control) == steps(sft)


def reply_to(model_folder: Path, request: str) -> list[int]:
    """The greedy reply to a request, up to 30 tokens."""
    model, tokenizer = load_policy(model_folder), load_tokenizer(model_folder)
    ids = tokenizer(f"\n\nHuman: {request}\n\nAssistant:", return_tensors="pt")["input_ids"]
    return model.generate(ids, max_new_tokens=30, do_sample=False)[0, ids.shape[1] :].tolist()


def margins(model_folder: Path, data: Path) -> torch.Tensor:
    """log p(chosen) - log p(rejected) of the validation pairs, (n,)."""
    model, tokenizer = load_policy(model_folder), load_tokenizer(model_folder)
    frame = pd.read_parquet(data / "validation.parquet")

    def logps(column: str) -> torch.Tensor:
        prompts, replies = encode_conversations(frame["prompt"].tolist(), frame[column].tolist(), tokenizer, "hh")
        sums = []
        for prompt, reply in zip(prompts, replies, strict=True):
            logs = model(torch.tensor([prompt + reply])).logits.log_softmax(-1)[0]
            sums.append(sum(logs[len(prompt) + i - 1, token] for i, token in enumerate(reply)))
        return torch.stack(sums)

    with torch.no_grad():
        return logps("chosen") - logps("rejected")


def validation(out: Path) -> dict[str, Any]:
    """The last validation line."""
    return [line for line in read_jsonl(out / "metrics.jsonl") if line["split"] == "validation"][-1]


# --- Known effects ---


def test_sft_learns_the_chosen_replies_and_their_end(world: Path) -> None:
    lines = tiny.lines(world / "sft" / "metrics.jsonl")
    assert lines[-1]["loss"] < 0.25 * lines[0]["loss"]
    tokenizer = load_tokenizer(world / "sft" / "model")
    reply = reply_to(world / "sft" / "model", "Give Ana the apple.")
    assert reply[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(reply[:-1]).startswith(" Thanks, ")


def test_sft_does_not_learn_the_prompts(world: Path, tmp_path: Path) -> None:
    # Given a policy fine-tuned on replies alone, then the prompts' own likelihood has not been raised to certainty
    model, tokenizer = load_policy(world / "sft" / "model"), load_tokenizer(world / "sft" / "model")
    ids = tokenizer("\n\nHuman: Give Ana the apple.\n\nAssistant:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        loss = model(ids, labels=ids).loss
    assert loss > 3.0


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_the_reward_model_learns_an_easy_rule(lora: dict[str, Any] | None, world: Path, tmp_path: Path) -> None:
    out = train("reward", world, "sft", tmp_path, lora=lora, epochs=4)
    assert validation(out)["accuracy"] > 0.9
    assert validation(out)["margin"] > 1.0
    # And the folder is a plain reward model that gives the same ranks by itself
    model, tokenizer = load_reward(out / "model"), load_tokenizer(out / "model")
    start = "\n\nHuman: Give Ana the apple.\n\nAssistant:"
    texts = [f"{start} {reply}<|endoftext|>" for reply in ("Thanks, Ana has it.", "No, Ana has not.")]
    with torch.no_grad():
        chosen, rejected = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits.squeeze(-1)
    assert chosen > rejected
    assert read_json(out / "manifest.json")["kind"] == "reward"


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("loss", ["sigmoid", "ipo"])
def test_dpo_moves_the_policy_to_the_chosen_replies(
    loss: str, lora: dict[str, Any] | None, world: Path, tmp_path: Path
) -> None:
    # Given the random model, which has no preference
    out = train("dpo", world, "base", tmp_path, lora=lora, loss=loss, epochs=2, learning_rate=2e-3, beta=0.1)
    moved = margins(out / "model", world / "data") - margins(world / "base" / "model", world / "data")
    # Then the implicit reward's margin is what the weights say, and positive
    assert validation(out)["accuracy"] > 0.9
    assert validation(out)["margin"] == pytest.approx(0.1 * moved.mean().item(), rel=1e-3)
    assert moved.mean() > 1.0
    assert (out / "model" / "model.safetensors").is_file()
    assert not (out / "model" / "adapter_config.json").exists()


def test_the_first_dpo_step_starts_from_no_preference(world: Path, tmp_path: Path) -> None:
    out = train("dpo", world, "sft", tmp_path, max_steps=1, log_every=1, learning_rate=1e-9)
    (line,) = tiny.lines(out / "metrics.jsonl")
    assert line["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert line["margin"] == pytest.approx(0, abs=1e-3)


# --- Outputs ---


def test_manifest_and_card_say_what_made_the_model(world: Path) -> None:
    manifest = read_json(world / "sft" / "manifest.json")
    made_by = manifest["made_by"]
    assert made_by["settings"]["epochs"] == 8
    assert made_by["seed"] == 0
    assert made_by["models"]["policy"] == read_json(world / "base" / "manifest.json")["sha256"]
    assert manifest["facts"]["pairs_used"] == {"train": 48, "validation": 18}
    assert manifest["facts"]["steps"] == 48
    assert "Pairs too long: train 0, validation 0" in (world / "sft" / "model" / "README.md").read_text()
    assert not (world / "sft" / ".checkpoints").exists()


def test_the_same_stage_gives_the_same_weights_and_another_seed_others(world: Path, tmp_path: Path) -> None:
    module = methods()["sft"]
    settings = module.Settings(batch_size=8, max_length=64, learning_rate=1e-3)
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        module.train(tiny.stage("sft", world / "base" / "model", world / "data", tmp_path / name, seed=seed), settings)
    assert tiny.weights(tmp_path / "one") == tiny.weights(tmp_path / "again") != tiny.weights(tmp_path / "other")


@pytest.mark.parametrize("method", ["sft", "reward", "dpo"])
def test_accumulated_passes_equal_one_large_pass(method: str, world: Path, tmp_path: Path) -> None:
    # Given replies of several lengths, so that passes differ in tokens, and a last step of passes with 2, 2 and 1 pair
    tiny.write_data(tmp_path / "data", count=13)
    for name, device in (("whole", None), ("parts", 2)):
        settings = methods()[method].Settings(
            batch_size=8,
            device_batch_size=device,
            max_length=64,
            max_steps=6,
            epochs=3,
            learning_rate=1e-4,
            log_every=1,
        )
        stage = tiny.stage(method, world / "base" / "model", tmp_path / "data", tmp_path / name)
        methods()[method].train(stage, settings)
    load = load_reward if method == "reward" else load_policy
    whole, parts = (load(tmp_path / name / "model") for name in ("whole", "parts"))
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        if one.dim() > 1:  # a bias whose gradient is 0 but for rounding takes full steps of AdamW along it
            assert torch.allclose(one, other, atol=2e-5)
    losses = [[line["loss"] for line in tiny.lines(tmp_path / name / "metrics.jsonl")] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


# --- What is dropped and what is refused ---


def test_pairs_that_are_too_long_are_dropped_whole_and_counted(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = tiny.pairs(20)
    frame.loc[3, "rejected"] = "very " * 60
    frame.loc[5, "chosen"] = "very " * 60
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        frame.to_parquet(tmp_path / "data" / f"{split}.parquet")
    for method in ("sft", "dpo"):  # a pair is out if either reply is too long: both stages see the same pairs
        stage = tiny.stage(method, world / "base" / "model", tmp_path / "data", tmp_path / method)
        module = methods()[method]
        module.train(stage, module.Settings(max_length=48, validation_pairs=4))
        facts = read_json(tmp_path / method / "manifest.json")["facts"]
        assert facts["pairs_used"] == {"train": 18, "validation": 3}
        assert facts["pairs_too_long"] == {"train": 2, "validation": 1}
        assert "train: 2 of 20 pairs (10%) are left out: longer than max_length 48" in capsys.readouterr().err
        assert left_out(facts) == "2 of 20 pairs too long"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_length": 65}, "max_length: 65 tokens do not fit the context"),
        ({"max_length": 10}, "none of 48 pairs fits max_length 10; raise it"),
        ({"device_batch_size": 3}, "device_batch_size: 3 does not divide the 8 examples"),
        ({"learning_rate": 1e4, "max_grad_norm": 1e9, "log_every": 1}, "sft: the training diverged: at step"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, Any], expected: str, world: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected):
        train("sft", world, "base", tmp_path, **changes)
    assert not (tmp_path / "model").exists()


def test_batches_must_divide_over_the_processes(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="batch_size: 8 does not divide over 3 processes"):
        batches(methods()["sft"].Settings(batch_size=8))
    monkeypatch.setenv("WORLD_SIZE", "2")
    cut = batches(methods()["sft"].Settings(batch_size=8, device_batch_size=2))
    assert (cut.device, cut.accumulation) == (2, 2)


# --- Numbers behind the speed ---


def test_the_plain_head_gives_what_trls_tiles_give(world: Path) -> None:
    from trl.trainer.utils import add_fused_lm_head

    from trustdag.train.trl_adapter import use_cpu_logprobs

    def outputs(patch: Any) -> tuple[Any, torch.Tensor]:
        model = load_policy(world / "sft" / "model").train()
        patch(model)
        ids = torch.arange(40).reshape(2, 20)
        labels = ids.masked_fill(torch.arange(20) < 7, -100)
        output = model(input_ids=ids, labels=labels, fused_lm_head=True)
        output.log_probs.exp().sum().backward()
        return output, model.gpt_neox.embed_in.weight.grad

    plain, plain_gradient = outputs(use_cpu_logprobs)
    tiles, tiles_gradient = outputs(lambda model: add_fused_lm_head(model, outputs=("log_probs", "is_top1")))
    assert torch.allclose(plain.log_probs, tiles.log_probs, atol=1e-5)
    assert torch.allclose(plain_gradient, tiles_gradient, atol=1e-6)
    assert torch.equal(plain.is_top1.bool(), tiles.is_top1.bool())
    assert torch.equal(plain.label_mask, tiles.label_mask)


# --- The command ---


def test_methods_are_found_by_file_name_and_cost_no_heavy_import() -> None:
    code = (
        "import sys; from trustdag.align import methods; names = sorted(methods()); "
        "print(*names, [name for name in ('torch', 'transformers', 'trl', 'datasets') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "workflow")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "continued dpo ppo reward sft []"


@pytest.mark.parametrize("method", ["sft", "reward", "dpo"])
def test_a_method_says_what_it_needs_and_makes(method: str) -> None:
    module = methods()[method]
    assert module.REQUIRES == ("policy",)
    assert {"sft": "policy", "reward": "reward", "dpo": "policy"}[method] == module.PRODUCES
    assert all((module.Settings.descriptions() | Lora.descriptions()).values())


def test_sft_in_bf16_on_a_cpu_learns_what_it_learns_in_fp32(world: Path, tmp_path: Path) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        changes = {"precision": precision, "max_steps": 6, "batch_size": 8, "max_length": 64, "learning_rate": 1e-3}
        settings = methods()["sft"].Settings.model_validate(changes)
        stage = tiny.stage("sft", world / "base" / "model", world / "data", tmp_path / precision)
        methods()["sft"].train(stage, settings)
        losses.append(validation(tmp_path / precision)["loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)

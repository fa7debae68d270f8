"""What `check` accepts of a local model is what its jobs accept, and what it refuses is in the jobs' own words."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.support import tiny_models as tiny
from trustdag import local_models
from trustdag.align import methods
from trustdag.artifacts import write_table
from trustdag.config.load import validate
from trustdag.config.study import Study
from trustdag.errors import UserError
from trustdag.generation.run import GenerationTask, generate
from trustdag.generation.settings import GenerateSettings
from trustdag.models.load import load_tokenizer, new_reward
from trustdag.models.size import Memory, parameters_in_folder
from trustdag.verticals import verticals

CHAIN = ["sft", "reward", "ppo"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model with a context of 128 tokens and 2 layers, in `little/model` of the working directory."""
    monkeypatch.chdir(tmp_path)
    tiny.write_base(tmp_path / "little", context=128)
    return Path("little/model")


def study(folder: Path, **changes: Any) -> Study:
    """A study of a local model in which everything fits."""
    stages: dict[str, Any] = {name: {"max_length": 128} for name in CHAIN}
    items = changes.pop("items", {"source": "toy", "n": 6})
    content = {
        "name": "probe",
        "models": {"little": {"base": {"source": "folder", "path": str(folder)}} | changes.pop("model", {})},
        "preferences": {"toy": {"source": "toy"}},
        "stages": {name: stages[name] | changes.pop(name, {}) for name in stages},
        "recipes": {"base": [], "ppo": CHAIN},
        "verticals": {"ethics": {"items": items, "generate": {"max_new_tokens": 9} | changes.pop("generate", {})}},
    }
    assert not changes
    return validate(content, "study.yaml")


def refusal(checked: Study) -> str:
    with pytest.raises(UserError) as raised:
        local_models.check(checked)
    return str(raised.value)


def save_reward(model: Path, out: Path, **changes: Any) -> Path:
    """A reward model on the model's trunk."""
    tokenizer = load_tokenizer(model)
    new_reward(model, tokenizer, 0).save_pretrained(out)
    tokenizer.save_pretrained(out)
    tiny.edit_json(out / "config.json", **changes)
    return out


def with_reward(folder: Path) -> dict[str, Any]:
    """A model entry whose reward model exists."""
    return {"checkpoints": {"sft-reward": {"source": "folder", "path": str(folder), "kind": "reward"}}}


def test_what_fits_is_accepted(model: Path) -> None:
    local_models.check(study(model))


def test_texts_beyond_the_models_positions_are_refused_as_the_stage_does(model: Path, tmp_path: Path) -> None:
    said = refusal(study(model, sft={"max_length": 129}))
    data = tiny.write_data(tmp_path / "data")
    with pytest.raises(UserError) as raised:
        methods()["sft"].train(
            tiny.stage("sft", model, data, tmp_path / "out"), methods()["sft"].Settings(max_length=129)
        )
    assert said == f"stages.sft.{raised.value}"
    assert said.startswith("stages.sft.max_length: 129 tokens do not fit the context of little/model, which is 128")


def test_replies_that_leave_no_room_are_refused_as_generation_does(model: Path, tmp_path: Path) -> None:
    said = refusal(study(model, generate={"max_new_tokens": 128}))
    items = verticals()["ethics"].items(study(model).verticals_measured()["ethics"].items)
    write_table(tmp_path / "items.parquet", items)
    task = GenerationTask("ethics", tmp_path / "items.parquet", GenerateSettings(max_new_tokens=128))
    with pytest.raises(UserError) as raised:
        generate(task, model, "hh", tmp_path / "replies.parquet")
    assert said == f"verticals.ethics.generate.{raised.value}"


def test_the_context_of_an_existing_reward_model_counts_too(model: Path, tmp_path: Path) -> None:
    short = save_reward(model, tmp_path / "short", max_position_embeddings=48)
    said = refusal(study(model, model=with_reward(short)))
    assert said.startswith(f"stages.ppo.max_length: 128 tokens do not fit the context of {short}, which is 48")


def test_a_model_of_its_own_override_is_checked_with_it(model: Path) -> None:
    said = refusal(study(model, model={"overrides": {"ppo": {"max_length": 160}}}))
    assert said.startswith("stages.ppo.max_length: 160 tokens do not fit")


def test_layers_that_the_model_lacks_are_refused(model: Path) -> None:
    local_models.check(study(model, ppo={"top_layers": 2}))
    assert refusal(study(model, ppo={"top_layers": 3})).startswith(
        "stages.ppo.top_layers: 3 layers cannot train, the policy has 2"
    )


def test_a_policy_that_no_reward_model_can_start_from_is_refused_as_the_stage_does(model: Path, tmp_path: Path) -> None:
    # given an architecture for which transformers has no sequence classifier
    from transformers import CohereConfig, CohereForCausalLM

    tokenizer = load_tokenizer(model)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    CohereForCausalLM(CohereConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "cohere")
    tokenizer.save_pretrained(tmp_path / "cohere")
    # when
    said = refusal(study(tmp_path / "cohere"))
    with pytest.raises(UserError) as refused:
        new_reward(tmp_path / "cohere", tokenizer, 0)
    # then
    assert said == f"stages.reward: {refused.value}"
    assert "no reward model can start from it, because transformers has no sequence classifier for cohere" in said


def lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "model.safetensors", metadata={"format": "pt"})


def shrink_the_vocabulary(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", vocab_size=300)


def lose_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def spoil_a_number(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values()))[0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def become_another_kind(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", architectures=["GPTNeoXForSequenceClassification"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_a_weight, "1 weights missing"),
        (shrink_the_vocabulary, "weights of another size than config.json says"),
        (lose_the_tokenizer, "no tokenizer"),
        (become_another_kind, "holds a reward model"),
        (spoil_a_number, "has numbers that are not finite"),
    ],
)
def test_a_folder_that_base_refuses_is_refused(model: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(model)
    said = refusal(study(model))
    assert said.startswith("models.little.base: little/model: ")
    assert message in said


def test_a_reward_model_with_another_vocabulary_is_refused(model: Path, tmp_path: Path) -> None:
    other = save_reward(tiny.write_base(tmp_path / "other", vocabulary=310, context=128), tmp_path / "reward")
    said = refusal(study(model, model=with_reward(other)))
    assert said.startswith("stages.ppo: reward model ")
    assert "train it from the same base model" in said


def test_a_model_without_limited_positions_reads_texts_of_any_length(model: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM

    tokenizer = load_tokenizer(model)
    shutil.rmtree(model)
    BloomForCausalLM(BloomConfig(vocab_size=len(tokenizer), hidden_size=16, n_layer=2, n_head=2)).save_pretrained(model)
    tokenizer.save_pretrained(model)
    local_models.check(study(model, sft={"max_length": 100_000}, generate={"max_new_tokens": 5000}))


# --- What this machine lacks is said, as the jobs may run on another one ---


def test_a_model_that_is_too_large_is_said_with_the_numbers(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given memory of a half of the weights: this process is one of many that share it
    available = Memory.of_machine().size
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(round(available / (2 * parameters_in_folder(model)))))
    local_models.check(study(model))
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("too large for this machine: models.little.base: little/model: 0.0")
    assert [line.split(":")[1].strip() for line in said[1:]] == ["stages.sft", "stages.reward", "stages.ppo"]
    assert all("GB of memory for weights, gradients and optimizer state alone" in line for line in said[1:])


# --- Items ---


def test_items_that_do_not_fit_are_counted_as_generation_does(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given replies that leave no room for the longer prompts
    checked = study(model, generate={"max_new_tokens": 40})
    local_models.check(checked)
    said = capsys.readouterr().err.splitlines()
    # when
    items = verticals()["ethics"].items(checked.verticals_measured()["ethics"].items)
    write_table(tmp_path / "items.parquet", items)
    task = GenerationTask("ethics", tmp_path / "items.parquet", GenerateSettings(max_new_tokens=40))
    generate(task, model, "hh", tmp_path / "replies.parquet")
    # then
    assert said == [f"verticals.{line}" for line in capsys.readouterr().err.splitlines() if "do not fit" in line]
    assert len(said) == 1


def test_a_vertical_of_which_no_item_fits_is_refused(model: Path) -> None:
    tiny.edit_json(model / "config.json", max_position_embeddings=9)
    fitting = {"max_length": 9}
    said = refusal(
        study(model, sft=fitting, reward=fitting, ppo=fitting | {"max_new_tokens": 2}, generate={"max_new_tokens": 2})
    )
    assert said.startswith("verticals.ethics: none of its 18 items fits the context of little/model, which is 9 tokens")


def test_a_file_that_holds_no_items_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "deeds.csv").write_text("question,answer\n")
    said = refusal(study(model, items={"source": "file", "paths": ["deeds.csv"]}))
    assert said.startswith("verticals.ethics.items: deeds.csv")


# --- Models of the hub ---

COMMIT = 40 * "a"


def in_cache(model: Path, cache: Path, names: list[str]) -> dict[str, Any]:
    """A model entry of the hub, of which the cache contains these files."""
    snapshot = cache / "models--someone--little" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in names:
        shutil.copyfile(model / name, snapshot / name)
    return {"base": {"source": "hub", "name": "someone/little", "revision": COMMIT}}


def run_check(changes: dict[str, Any], model: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    """`trustdag check` of the study of a model of the hub, whose cache another process has read already."""
    content = study(model).model_dump(mode="json", exclude_unset=True)
    content["models"]["little"] = changes
    content["resources"] = {"models": {"little": {"parameters": 20_000}}}
    Path("study.yaml").write_text(json.dumps(content))
    command = [sys.executable, "-m", "trustdag", "check", "study.yaml"]
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_model_in_the_hubs_cache_is_checked(model: Path, tmp_path: Path) -> None:
    lose_a_weight(model)
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    done = run_check(in_cache(model, tmp_path / "hub", names), model, tmp_path / "hub")
    assert done.returncode == 2
    assert "models.little.base: " in done.stderr
    assert "1 weights missing" in done.stderr


@pytest.mark.parametrize("names", [[], ["config.json"], ["config.json", "model.safetensors"]])
def test_a_model_that_the_job_would_fetch_is_not_checked(names: list[str], model: Path, tmp_path: Path) -> None:
    lose_a_weight(model)
    changes = in_cache(model, tmp_path / "hub", names)
    done = run_check(changes, model, tmp_path / "hub")
    assert done.returncode == 0, done.stderr

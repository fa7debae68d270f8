"""What `check` accepts of a local model is what its jobs accept, and what it refuses is in the jobs' own words."""

import shutil
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
from trustdag.verticals import verticals

CHAIN = ["sft", "reward", "ppo"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model with a context of 64 tokens and 2 layers, in `little/model` of the working directory."""
    monkeypatch.chdir(tmp_path)
    tiny.write_base(tmp_path / "little")
    return Path("little/model")


def study(folder: Path, **changes: Any) -> Study:
    """A study of a local model in which everything fits."""
    stages = {"sft": {"max_length": 64}, "reward": {"max_length": 64}, "ppo": {"max_length": 64, "max_new_tokens": 9}}
    items = {"source": "toy", "n": 6}
    content = {
        "name": "probe",
        "models": {"little": {"base": {"source": "folder", "path": str(folder)}} | changes.pop("model", {})},
        "preferences": {"toy": {"source": "toy"}},
        "stages": {name: stages[name] | changes.pop(name, {}) for name in stages},
        "recipes": {"base": [], "ppo": CHAIN},
        "verticals": {"ethics": {"items": items, "generate": {"max_new_tokens": 50} | changes.pop("generate", {})}},
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
    said = refusal(study(model, sft={"max_length": 65}))
    data = tiny.write_data(tmp_path / "data")
    with pytest.raises(UserError) as raised:
        methods()["sft"].train(
            tiny.stage("sft", model, data, tmp_path / "out"), methods()["sft"].Settings(max_length=65)
        )
    assert said == f"stages.sft.{raised.value}"
    assert said.startswith("stages.sft.max_length: 65 tokens do not fit the context of little/model, which is 64")


def test_replies_that_leave_no_room_are_refused_as_generation_does(model: Path, tmp_path: Path) -> None:
    said = refusal(study(model, generate={"max_new_tokens": 64}))
    items = verticals()["ethics"].items(study(model).verticals_measured()["ethics"].items)
    write_table(tmp_path / "items.parquet", items)
    task = GenerationTask("ethics", tmp_path / "items.parquet", GenerateSettings(max_new_tokens=64))
    with pytest.raises(UserError) as raised:
        generate(task, model, "hh", tmp_path / "replies.parquet")
    assert said == f"verticals.ethics.generate.{raised.value}"


def test_the_context_of_an_existing_reward_model_counts_too(model: Path, tmp_path: Path) -> None:
    short = save_reward(model, tmp_path / "short", max_position_embeddings=48)
    said = refusal(study(model, model=with_reward(short)))
    assert said.startswith(f"stages.ppo.max_length: 64 tokens do not fit the context of {short}, which is 48")


def test_a_model_of_its_own_override_is_checked_with_it(model: Path) -> None:
    said = refusal(study(model, model={"overrides": {"ppo": {"max_length": 80}}}))
    assert said.startswith("stages.ppo.max_length: 80 tokens do not fit")


def test_layers_that_the_model_lacks_are_refused(model: Path) -> None:
    local_models.check(study(model, ppo={"top_layers": 2}))
    assert refusal(study(model, ppo={"top_layers": 3})).startswith(
        "stages.ppo.top_layers: 3 layers cannot train, the policy has 2"
    )


def lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "model.safetensors", metadata={"format": "pt"})


def shrink_the_vocabulary(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", vocab_size=300)


def lose_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def become_another_kind(folder: Path) -> None:
    tiny.edit_json(folder / "config.json", architectures=["GPTNeoXForSequenceClassification"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_a_weight, "1 weights missing"),
        (shrink_the_vocabulary, "weights of another size than config.json says"),
        (lose_the_tokenizer, "no tokenizer"),
        (become_another_kind, "holds a reward model"),
    ],
)
def test_a_folder_that_base_refuses_is_refused(model: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(model)
    said = refusal(study(model))
    assert said.startswith("models.little.base: little/model: ")
    assert message in said


def test_a_reward_model_with_another_vocabulary_is_refused(model: Path, tmp_path: Path) -> None:
    other = save_reward(tiny.write_base(tmp_path / "other", vocabulary=310), tmp_path / "reward")
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

"""The study as a graph: shared prefixes, checkpoints instead of training, and each model's own base as reference."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trustdag import dag
from trustdag.config.load import validate
from trustdag.config.study import Study
from trustdag.errors import UserError
from trustdag.layout import ModelId
from trustdag.report import plots

ROOT = Path(__file__).parents[2]
SHORT = {"max_length": 64}
"""Of a stage whose model reads 128 tokens."""


def study(**changes: Any) -> Study:
    config = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
    return validate(config | changes, "smoke")


def ids(models: list[ModelId]) -> list[str]:
    return [str(node) for node in models]


def test_shared_prefixes_are_trained_once() -> None:
    assert ids(dag.models_needed(study())) == [
        "tiny/base",
        "tiny/crowd/sft/seed0",
        "tiny/crowd/sft-dpo/seed0",
        "tiny/crowd/sft-reward/seed0",
        "tiny/crowd/sft-reward-ppo/seed0",
    ]


def test_a_stage_starts_from_the_last_model_of_each_role() -> None:
    ppo = ModelId("tiny", ("sft", "reward", "ppo"), "crowd", 0)
    assert {role: str(node) for role, node in dag.parents(study(), ppo).items()} == {
        "policy": "tiny/crowd/sft/seed0",
        "reward": "tiny/crowd/sft-reward/seed0",
    }


def test_seeds_and_preferences_multiply_what_is_trained_but_not_the_base() -> None:
    models = ids(
        dag.models_needed(study(seeds=[0, 1, 2], preferences={"crowd": {"source": "toy"}, "other": {"source": "toy"}}))
    )
    assert models.count("tiny/base") == 1
    assert len(models) == 1 + 4 * 3 * 2
    assert len(set(models)) == len(models)


def test_a_reward_model_that_no_recipe_needs_is_not_trained() -> None:
    assert "reward" not in dag.methods_used(study(recipes={"dpo": ["sft", "dpo"]}))


@pytest.fixture
def with_checkpoint() -> Study:
    given = {"source": "folder", "path": "models/my-sft"}
    return study(models={"tiny": {"base": {"source": "folder", "path": "models/base"}, "checkpoints": {"sft": given}}})


def test_a_checkpoint_enters_in_the_middle_of_a_chain(with_checkpoint: Study) -> None:
    models = ids(dag.models_needed(with_checkpoint))
    assert "tiny/sft" in models
    assert "tiny/crowd/sft/seed0" not in models
    dpo = ModelId("tiny", ("sft", "dpo"), "crowd", 0)
    assert str(dag.parents(with_checkpoint, dpo)["policy"]) == "tiny/sft"
    assert dag.base_source(with_checkpoint, ModelId("tiny", ("sft",))).path == "models/my-sft"


def test_existing_models_are_evaluated_without_any_training() -> None:
    only = study(models={"mine": {"base": {"source": "folder", "path": "x"}}}, recipes={"base": []}, stages={})
    assert ids(dag.models_needed(only)) == ["mine/base"]
    assert dag.methods_used(only) == []


def test_each_policy_is_compared_with_its_own_base_and_sft() -> None:
    compared = {policy.id: policy for policy in dag.study_design(study(seeds=[0, 1])).policies}
    dpo = compared["tiny/crowd/sft-dpo/seed1"]
    assert (dpo.reference_base, dpo.reference_sft) == ("tiny/base", "tiny/crowd/sft/seed1")
    assert (compared["tiny/base"].reference_base, compared["tiny/base"].reference_sft) == (None, None)
    assert compared["tiny/crowd/sft/seed1"].reference_sft is None


def test_each_trained_policy_is_compared_with_the_control_of_its_seed() -> None:
    # Given a recipe that trains without preference alone
    recipes = {"base": [], "control": ["continued"], "sft": ["sft"], "dpo": ["sft", "dpo"]}
    # When the study has two seeds
    policies = dag.study_design(
        study(seeds=[0, 1], recipes=recipes, stages=dict.fromkeys(("continued", "sft", "dpo"), SHORT))
    )
    compared = {policy.id: policy.reference_control for policy in policies.policies}
    # Then
    assert compared["tiny/crowd/sft-dpo/seed1"] == "tiny/crowd/continued/seed1"
    assert compared["tiny/crowd/sft/seed0"] == "tiny/crowd/continued/seed0"
    assert compared["tiny/crowd/continued/seed0"] is None
    assert compared["tiny/base"] is None


def test_what_is_not_evaluated_is_compared_with_nothing() -> None:
    (dpo,) = dag.study_design(study(recipes={"dpo": ["sft", "dpo"]})).policies
    assert (dpo.reference_base, dpo.reference_sft) == (None, None)


def test_chain_patterns_tell_the_training_rules_apart() -> None:
    assert dag.chain_pattern(study(), "ppo") == "sft\\-reward\\-ppo"
    two = study(
        stages={"sft": SHORT, "dpo": SHORT, "hot": {"method": "dpo", "beta": 0.5} | SHORT},
        recipes={"dpo": ["sft", "dpo"], "hot": ["sft", "hot"]},
    )
    assert dag.chain_pattern(two, "dpo") == "sft\\-dpo|sft\\-hot"


GIVEN = {"source": "folder", "path": "model"}


def test_a_study_that_only_evaluates_needs_no_preferences_and_no_stages() -> None:
    only = validate({"name": "s", "models": {"m": {"base": GIVEN}}, "verticals": {"bias": BIAS}}, "s")
    assert ids(dag.models_needed(only)) == ["m/base"]
    assert dag.preferences_used(only) == dag.methods_used(only) == []


def test_a_checkpoint_that_every_model_has_needs_no_stage() -> None:
    model = {"base": GIVEN, "checkpoints": {"chat": GIVEN}}
    config = {
        "name": "s",
        "models": {"m": model},
        "recipes": {"base": [], "chat": ["chat"]},
        "verticals": {"bias": BIAS},
    }
    only = validate(config, "s")
    assert ids(dag.models_needed(only)) == ["m/base", "m/chat"]
    # A second model without one has to be trained, which nothing says how.
    with pytest.raises(UserError, match="no stage `chat`; stages has none, and not every model has a checkpoint"):
        validate(config | {"models": {"m": model, "other": {"base": GIVEN}}}, "s")


def test_training_without_preferences_is_refused() -> None:
    config = {"name": "s", "models": {"m": {"base": GIVEN}}, "recipes": {"sft": ["sft"]}, "stages": {"sft": {}}}
    with pytest.raises(UserError, match=r"recipes.sft: `sft` is trained on preference pairs; name them in"):
        validate(config | {"verticals": {"bias": BIAS}}, "s")


def test_only_stages_that_the_study_trains_count_as_trained() -> None:
    model = {"base": GIVEN, "checkpoints": {"sft": GIVEN}}
    given = {"name": "s", "models": {"m": model}, "recipes": {"base": [], "sft": ["sft"]}, "verticals": {"bias": BIAS}}
    assert [policy.trained for policy in dag.study_design(validate(given, "s")).policies] == [(), ()]
    trained = given | {"recipes": {"dpo": ["sft", "dpo"]}, "stages": {"sft": {}, "dpo": {}}}
    (policy,) = dag.study_design(validate(trained | {"preferences": {"p": {"source": "toy"}}}, "s")).policies
    assert (policy.methods, policy.trained) == (("sft", "dpo"), ("dpo",))
    assert not plots.module("training").applies(dag.study_design(validate(given, "s")))


BIAS = {"items": {"source": "toy"}}


@pytest.mark.parametrize("name", ["pairs {seed}.jsonl", "{x}/pairs.jsonl", "a{ y }.jsonl", "{n,[0-9]}.jsonl"])
def test_a_path_that_snakemake_would_take_for_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}\n")
    with pytest.raises(UserError, match=r"jsonl: Snakemake takes `\{.*\}` for a wildcard; rename"):
        dag.source_files(study(preferences={"crowd": {"source": "hh", "path": str(path)}}))


def test_other_braces_and_signs_may_stand_in_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a {} {-} $HOME 'q' \"d\" ü;&|*.jsonl"
    path.write_text("{}\n")
    sources = dag.source_files(study(preferences={"crowd": {"source": "hh", "path": str(path)}}))
    assert sources.preferences["crowd"] == [str(path)]

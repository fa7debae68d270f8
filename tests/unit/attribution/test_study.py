"""Attribution in a study: which policies, by what task, and what a study may not ask for."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trustdag import dag
from trustdag.config.load import validate
from trustdag.config.study import Study
from trustdag.errors import UserError
from trustdag.layout import ModelId

ROOT = Path(__file__).parents[3]
PRUNED = {"source": "pruned", "of": "crowd", "by": {"stage": "dpo", "vertical": "bias"}, "control": "random"}


def study(**changes: Any) -> Study:
    config = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
    config["attribution"] = {"bias": {"stages": ["sft", "dpo", "ppo"]}, "ethics": {}}
    return validate(config | changes, "smoke")


def with_pruned(**changes: Any) -> Study:
    return study(preferences={"crowd": {"source": "toy"}, "pruned": PRUNED | changes})


def test_policies_whose_last_stage_is_asked_for_are_attributed() -> None:
    attributed = {str(model): list(verticals) for model, verticals in dag.attributions(study()).items()}

    assert attributed == {
        "tiny/crowd/sft/seed0": ["bias"],
        "tiny/crowd/sft-dpo/seed0": ["bias", "ethics"],
        "tiny/crowd/sft-reward-ppo/seed0": ["bias"],
    }


def test_policies_of_derived_sets_are_not_attributed() -> None:
    assert {model.preferences for model in dag.attributions(with_pruned())} == {"crowd"}


def test_a_ppo_policy_is_attributed_to_its_reward_models_pairs() -> None:
    policy = ModelId("tiny", ("sft", "reward", "ppo"), "crowd", 0)

    task = dag.attribution_task(study(), policy, dag.attributions(study())[policy])

    assert (task.trained, task.trained_method) == ("tiny/crowd/sft-reward/seed0", "reward")
    assert task.start == "tiny/crowd/sft/seed0"
    assert task.ppo is not None
    assert (task.ppo.reference, task.ppo.kl_coef) == ("tiny/crowd/sft/seed0", 0.05)


def test_a_difference_names_the_policy_that_it_is_from() -> None:
    asked = study(attribution={"bias": {"stages": ["dpo"], "against": "sft"}})
    policy = ModelId("tiny", ("sft", "dpo"), "crowd", 0)

    task = dag.attribution_task(asked, policy, dag.attributions(asked)[policy])

    assert task.verticals["bias"].reference == "tiny/crowd/sft/seed0"


def test_a_difference_from_a_policy_that_is_not_there_is_refused() -> None:
    asked = study(attribution={"bias": {"stages": ["sft"], "against": "sft"}})
    policy = ModelId("tiny", ("sft",), "crowd", 0)

    with pytest.raises(UserError, match=r"attribution.bias.against: .* has no `sft` policy .*set `against: level`"):
        dag.attribution_task(asked, policy, dag.attributions(asked)[policy])


@pytest.mark.parametrize(("chain", "stage"), [("sft", "sft"), ("sft-reward", "ppo")])
def test_a_stage_that_was_given_without_its_pairs_is_refused(chain: str, stage: str) -> None:
    config = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
    models = {"tiny": config["models"]["tiny"] | {"checkpoints": {chain: {"source": "folder", "path": "given"}}}}

    with pytest.raises(UserError, match=rf"attribution.bias.stages: {stage}: tiny/{chain} is taken from elsewhere"):
        dag.attributions(study(models=models, attribution={"bias": {"stages": [stage]}}))


def test_a_pruned_set_has_a_control_and_hangs_on_the_attribution() -> None:
    asked = with_pruned()
    settings = asked.derived()["pruned"]

    assert list(asked.preferences) == ["crowd", "pruned", "pruned-random"]
    assert str(dag.pruned_by(asked, settings)) == "tiny/crowd/sft-dpo/seed0"  # type: ignore[arg-type]
    assert dag.better(asked, settings) == "lower"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attribution", "message"),
    [
        ({"bias": {"stages": ["dpo"], "metric": "nothing"}}, r"bias.metric: no metric `nothing`; there are agr"),
        ({"bias": {"stages": ["grpo"]}}, r"attribution.bias.stages"),
        ({"bias": {"stages": ["dpo", "dpo"]}}, r"attribution.bias: .*a stage is listed twice"),
        ({"bias": {"method": "unrolled", "gradients": "lora"}}, r"`lora` cannot be used with `method: unrolled`"),
        ({"bias": {"method": "projected", "projection": 7, "rank": 8}}, r"projection: 7 is too small for `rank: 8`"),
        ({"bais": {}}, r"attribution.bais: unknown key; did you mean `bias`"),
    ],
)  # fmt: skip
def test_what_cannot_be_attributed_is_refused_in_a_line(attribution: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(attribution=attribution)


def test_a_vertical_that_is_not_measured_and_a_stage_that_nothing_ends_with_are_refused() -> None:
    with pytest.raises(UserError, match=r"attribution.bias: this study does not measure bias"):
        study(verticals={"ethics": {"items": {"source": "toy", "n": 24}}}, attribution={"bias": {}})
    with pytest.raises(UserError, match=r"attribution.bias.stages: no recipe ends with a stage of method `ppo`"):
        study(recipes={"dpo": ["sft", "dpo"]}, attribution={"bias": {"stages": ["ppo"]}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"of": "pruned"}, r"preferences.pruned.of: must be one of crowd \(got 'pruned'\)"),
        ({"by": {"stage": "dpo", "vertical": "privacy"}}, r"preferences.pruned.by: privacy is not attributed at dpo"),
        ({"by": {"stage": "sft", "vertical": "ethics"}}, r"ethics is not attributed at sft"),
        ({"by": {"stage": "dpo", "vertical": "bias", "seed": 7}}, r"preferences.pruned.by.seed: must be one of 0"),
        ({"drop": 1.0}, r"preferences.pruned.drop: "),
    ],
)
def test_a_pruned_set_that_does_not_hold_is_refused_in_a_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_pruned(**changes)


def test_a_base_model_cannot_read_the_corpus_of_a_derived_set() -> None:
    config = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
    base = config["models"]["tiny"]["base"] | {"corpus": "half"}

    with pytest.raises(UserError, match=r"models.tiny.base.corpus: `half` is made from another set"):
        study(
            models={"tiny": {"base": base}},
            preferences={"crowd": {"source": "toy"}, "half": {"source": "subset", "of": "crowd"}},
        )

"""Attribution in the DAG: derived sets are nodes, and what is trained on them follows by itself."""

from pathlib import Path

import yaml

from tests.workflow.conftest import SMOKE, jobs, snakemake


def test_pruned_sets_wait_for_the_attribution_and_are_realigned_and_measured(tmp_path: Path) -> None:
    # Given a study that attributes bias and asks for a pruned set with a random control
    study = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    study["attribution"] = {"bias": {"stages": ["dpo"]}}
    study["preferences"]["pruned"] = {
        "source": "pruned", "of": "crowd", "by": {"stage": "dpo", "vertical": "bias"}, "control": "random",
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    # When a dry run is made
    planned = jobs(snakemake(tmp_path, "--dry-run", configfile=tmp_path / "study.yaml"))
    # Then there is one attribution, two derived sets, and every recipe is trained and measured on all three sets
    assert planned["attribute_bias"] == 1
    assert planned["derive"] == 2
    assert planned["dpo"] == planned["ppo"] == planned["sft"] == 3
    assert planned["generate"] == planned["score"] == 5 * (1 + 3 * 3)


def test_a_study_without_attribution_has_no_job_of_it(tmp_path: Path) -> None:
    assert not {"derive", "attribute"} & {name.split("_")[0] for name in jobs(snakemake(tmp_path, "--dry-run"))}

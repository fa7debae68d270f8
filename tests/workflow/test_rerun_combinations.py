"""Several edits at once, and edits of a partly finished study: after one run nothing is pending or stale."""

import random
from pathlib import Path

import pandas as pd
import pytest
import yaml

from .conftest import ROOT, SMOKE, jobs, snakemake
from .test_reruns import (
    AFTER_SFT,
    CONFIG_EDITS,
    END,
    NOTHING,
    POLICIES,
    REMOVED,
    Edit,
    asked,
    edited,
    linked,
    scored,
    would_run,
)

INDEPENDENT = [edit for edit in CONFIG_EDITS if REMOVED not in edit[1].values()]
"""The jobs of several edits together are the union of the jobs of each edit."""


def written(changes: Edit, path: Path) -> Path:
    """The smoke study with changes, as a configuration file."""
    path.write_text(yaml.safe_dump(edited(yaml.safe_load(SMOKE.read_text()), changes), sort_keys=False))
    return path


def drawn(number: int) -> tuple[Edit, set[str]]:
    """The edits of a random pair or triple, and all the jobs that they run one by one."""
    chosen = random.Random(number).sample(INDEPENDENT, k=2 + number % 2)
    changes = {key: value for _, edit, _ in chosen for key, value in edit.items()}
    closure = set().union(*(expected for _, _, expected in chosen))
    return changes, closure | {"configuration", "report"} if closure else NOTHING


@pytest.mark.parametrize(
    "number", [*range(8), *(pytest.param(number, marks=pytest.mark.slow) for number in range(8, 200))]
)
def test_several_edits_run_all_that_each_of_them_runs(number: int, finished: Path, tmp_path: Path) -> None:
    changes, expected = drawn(number)
    configfile = written(changes, tmp_path / "smoke.yaml")
    assert would_run(linked(finished, tmp_path / "study", configfile), ROOT, configfile) == expected


# --- Edits after a part of the study was run ---

EARLIER_RUNS: dict[str, tuple[Edit, list[str], set[str]]] = {
    "items": ({"verticals.bias.items.n": 30}, ["fetch"], asked(POLICIES, ["bias"]) | END),
    "items and a score": (
        {"verticals.privacy.items.n": 30, "verticals.toxicity.score.threshold": 0.6},
        ["--until", "items"],
        asked(POLICIES, ["privacy"]) | scored("toxicity") | END,
    ),
    "a model": ({"stages.sft.learning_rate": 1e-2}, ["--until", "sft"], AFTER_SFT),
}


@pytest.mark.parametrize(("changes", "options", "expected"), EARLIER_RUNS.values(), ids=list(EARLIER_RUNS))
def test_what_an_earlier_run_made_is_followed_by_all_that_depends_on_it(
    changes: Edit, options: list[str], expected: set[str], study: Path, tmp_path: Path
) -> None:
    configfile = written(changes, tmp_path / "smoke.yaml")
    owner = study / "results" / "smoke" / ".configuration"
    owner.unlink(missing_ok=True)
    done = snakemake(study, *options, configfile=configfile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert would_run(study, ROOT, configfile) == expected | {"configuration", "report"}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_one_run_after_partial_ones_ends_like_a_fresh_run(number: int, study: Path, tmp_path: Path) -> None:
    # Given several edits, of which a part of the study was run with the first
    changes, _ = drawn(1000 + number)
    first = written(dict(list(changes.items())[:1]), tmp_path / "smoke.yaml")
    (study / "results" / "smoke" / ".configuration").unlink(missing_ok=True)
    partial = random.Random(number).choice([["fetch"], ["--until", "sft"], ["--until", "generate"], ["tiny"]])
    assert snakemake(study, *partial, configfile=first).returncode == 0
    # When the study is run once with all of them
    configfile = written(changes, tmp_path / "smoke.yaml")
    done = snakemake(study, configfile=configfile)
    assert done.returncode == 0, done.stdout + done.stderr
    # Then nothing is due, and the statistics are those of a run from nothing
    assert jobs(snakemake(study, "-n", configfile=configfile)) == {}
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert snakemake(fresh, configfile=configfile).returncode == 0
    for name in ("metrics", "differences", "seeds"):
        rerun, whole = (
            pd.read_csv(folder / "results" / "smoke" / "statistics" / f"{name}.csv") for folder in (study, fresh)
        )
        pd.testing.assert_frame_equal(rerun, whole)

"""What each edit runs again: exactly the jobs that depend on it, by dry run on a finished smoke study.

Nothing less, or results would be stale; nothing more, or GPU-days would be lost. Every edit stands in one table.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.bad_input_cases import LINE
from tests.support.forks import run_snakemake
from trustdag.labels.draw import Drawing, draw, write
from trustdag.pending import dryrun

from .conftest import ROOT, SMOKE, arguments_for, clean_environment, snakemake

POLICIES = {
    "base": "tiny/base",
    "sft": "tiny/crowd/sft/seed0",
    "dpo": "tiny/crowd/sft-dpo/seed0",
    "ppo": "tiny/crowd/sft-reward-ppo/seed0",
}
SHORT = {policy: short for short, policy in POLICIES.items()}
VERTICALS = ("toxicity", "bias", "ethics", "truthfulness", "privacy")
PLOTS = ("answers", "changes", "levels", "reinforcement", "stereotypes", "training")
FROM_STATISTICS = ("changes", "levels", "stereotypes")


# --- Expected jobs ---


def asked(policies: Iterable[str], verticals: Iterable[str] = VERTICALS) -> set[str]:
    """A model's replies to each vertical are generated and scored by jobs of their own."""
    policies, verticals = list(policies), list(verticals)
    return {
        f"{rule} {policy} {vertical}" for rule in ("generate", "score") for policy in policies for vertical in verticals
    }


def scored(*verticals: str) -> set[str]:
    return {f"score {policy} {vertical}" for policy in POLICIES for vertical in verticals}


def plots(*names: str) -> set[str]:
    return {f"plot {name}" for name in names}


END = {"statistics", "report"} | plots("answers", *FROM_STATISTICS)
TRAINED_END = END | plots("training", "reinforcement")
AFTER_BASE = {"sft", "reward", "dpo", "ppo"} | asked(POLICIES) | TRAINED_END
AFTER_SFT = {"reward", "dpo", "ppo"} | asked(["sft", "dpo", "ppo"]) | TRAINED_END
AFTER_DPO = asked(["dpo"]) | TRAINED_END
AFTER_PPO = asked(["ppo"]) | TRAINED_END
NOTHING: set[str] = set()


# --- Dry runs ---


def name_of(job: dryrun.Job) -> str:
    """`rule` with the wildcards that distinguish its jobs."""
    told = {key: value for key, value in job.wildcards.items() if key in ("policy", "vertical", "plot")}
    told["policy"] = SHORT.get(told["policy"], told["policy"]) if "policy" in told else ""
    return " ".join(filter(None, [job.rule, told["policy"], told.get("vertical", ""), told.get("plot", "")]))


def would_run(folder: Path, tree: Path, configfile: Path, *options: str) -> set[str]:
    """The jobs that a dry run would start, without the target itself."""
    where = ["--snakefile", str(tree / "Snakefile"), "--directory", str(folder), "--configfile", str(configfile)]
    with tempfile.TemporaryDirectory() as written:
        environment = clean_environment() | dryrun.variables(Path(written))
        done = run_snakemake([*dryrun.OPTIONS, *where, *options], environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return {name_of(job) for job in dryrun.read(Path(written)).jobs} - {"all"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that no test changes; an edit is made in a copy of this one."""
    folder = tmp_path_factory.mktemp("tree")
    return copied(ROOT, folder / "tree")


def copied(source: Path, folder: Path) -> Path:
    """The workflow's sources, without its results and caches."""
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("workflow", "config", "envs"):
        shutil.copytree(source / name, folder / name, ignore=skip)
    for name in ("Snakefile", "README.md", "pyproject.toml"):
        if (source / name).exists():
            shutil.copy2(source / name, folder / name)
    return folder


# --- Edits of the configuration ---

Edit = dict[str, Any]


def edited(config: Edit, changes: Edit) -> Edit:
    """A configuration with leaves changed: `{"stages.dpo.beta": 0.2}`; None as a value removes the key."""
    content = json.loads(json.dumps(config))  # a copy in which no two sections are the same object
    for key, value in changes.items():
        *path, last = key.split(".")
        section = content
        for name in path:
            section = section.setdefault(name, {})
        if value is REMOVED:
            del section[last]
        else:
            section[last] = value
    return content


REMOVED = object()
SECOND = {"source": "scratch", "corpus": "crowd", "hidden_size": 32, "layers": 1, "heads": 2, "steps": 5}

CONFIG_EDITS: list[tuple[str, Edit, set[str]]] = [
    # models
    ("base steps", {"models.tiny.base.steps": 11}, {"base"} | AFTER_BASE),
    ("base width", {"models.tiny.base.hidden_size": 48}, {"base"} | AFTER_BASE),
    ("base learning rate", {"models.tiny.base.learning_rate": 2e-3}, {"base"} | AFTER_BASE),
    ("base seed", {"models.tiny.base.seed": 1}, {"base"} | AFTER_BASE),
    ("prompt_format", {"models.tiny.prompt_format": "plain"}, {"base"} | AFTER_BASE),
    ("override for one model", {"models.tiny.overrides": {"dpo": {"beta": 0.3}}}, {"dpo"} | AFTER_DPO),
    # preferences
    ("pairs", {"preferences.crowd.pairs": 210}, {"prepare", "base"} | AFTER_BASE),
    # stages
    ("sft learning rate", {"stages.sft.learning_rate": 2e-5}, {"sft"} | AFTER_SFT),
    ("sft epochs", {"stages.sft.epochs": 2}, {"sft"} | AFTER_SFT),
    ("reward learning rate", {"stages.reward.learning_rate": 2e-5}, {"reward", "ppo"} | AFTER_PPO),
    ("dpo beta", {"stages.dpo.beta": 0.2}, {"dpo"} | AFTER_DPO),
    ("dpo batch", {"stages.dpo.batch_size": 8}, {"dpo"} | AFTER_DPO),
    ("ppo KL weight", {"stages.ppo.kl_coef": 0.1}, {"ppo"} | AFTER_PPO),
    ("ppo updates", {"stages.ppo.updates": 3}, {"ppo"} | AFTER_PPO),
    ("ppo lora", {"stages.ppo.lora": {"rank": 4}}, {"ppo"} | AFTER_PPO),
    # verticals: items, generation and scores of one vertical alone
    *(
        (f"{name} items", {f"verticals.{name}.items.n": 30}, {f"items {name}"} | asked(POLICIES, [name]) | END)
        for name in VERTICALS
    ),
    *(
        (f"{name} tokens", {f"verticals.{name}.generate.max_new_tokens": 9}, asked(POLICIES, [name]) | END)
        for name in VERTICALS
    ),
    ("privacy temperature", {"verticals.privacy.generate.temperature": 0.5}, asked(POLICIES, ["privacy"]) | END),
    ("toxicity threshold", {"verticals.toxicity.score.threshold": 0.6}, scored("toxicity") | END),
    # statistics and report
    ("resamples", {"statistics.resamples": 201}, END),
    ("statistics seed", {"statistics.seed": 5}, END),
    ("one plot's width", {"report.plots.levels.width": 8.0}, plots("levels") | {"report"}),
    ("one plot's colors", {"report.plots.training.colors": ["#000000"]}, plots("training") | {"report"}),
    ("title", {"report.page.title": "What changed?"}, {"report"}),
    ("examples", {"report.page.examples": 1}, {"report"}),
    # how often a stage logs and saves: the configuration in the report alone
    ("checkpoints", {"stages.sft.checkpoint_every": 2, "stages.ppo.checkpoint_every": 1}, {"report"}),
    ("lines of a curve", {"stages.dpo.log_every": 1, "models.tiny.base.log_every": 2}, {"report"}),
    ("size of a batch of replies", {"verticals.bias.generate.batch_tokens": 512}, {"report"}),
    # what results do not depend on
    ("request for one rule", {"resources.rules.ppo.runtime": 99}, NOTHING),
    ("hardware", {"resources.gpu_tflops": 989}, NOTHING),
    ("weights of a plan", {"plan.recipes": {"ppo": 3}}, NOTHING),
    ("a default written out", {"stages.dpo.beta": 0.1, "statistics.seed": 0}, NOTHING),
    ("a number spelt otherwise", {"stages.sft.learning_rate": "1e-5"}, NOTHING),
    # more or less of the study
    ("one vertical less", {"verticals.bias": REMOVED}, {"design"} | TRAINED_END - {"plot stereotypes"}),
    ("one recipe less", {"recipes.dpo": REMOVED}, {"design"} | TRAINED_END),
    (
        "a second seed",
        {"seeds": [0, 1]},
        {"design", "sft", "reward", "dpo", "ppo"}
        | asked([f"tiny/crowd/{chain}/seed1" for chain in ("sft", "sft-dpo", "sft-reward-ppo")])
        | TRAINED_END
        | plots("seeds"),
    ),
    (
        "a recipe on an old prefix",
        {"stages.dpo_b": {"method": "dpo", "max_steps": 2, "max_length": 128}, "recipes.dpo_b": ["sft", "dpo_b"]},
        {"design", "dpo"} | asked(["tiny/crowd/sft-dpo_b/seed0"]) | TRAINED_END,
    ),
    (
        "a second model",
        {"models.other": {"base": SECOND}},
        {"design", "base", "sft", "reward", "dpo", "ppo"}
        | asked(["other/base"] + [f"other/crowd/{chain}/seed0" for chain in ("sft", "sft-dpo", "sft-reward-ppo")])
        | TRAINED_END,
    ),
]


@pytest.mark.parametrize(
    ("changes", "jobs"), [each[1:] for each in CONFIG_EDITS], ids=[each[0] for each in CONFIG_EDITS]
)
def test_an_edit_of_the_configuration_runs_what_depends_on_it(
    changes: Edit, jobs: set[str], finished: Path, tmp_path: Path
) -> None:
    config = edited(yaml.safe_load(SMOKE.read_text()), changes)
    changed = tmp_path / "smoke.yaml"
    changed.write_text(yaml.safe_dump(config, sort_keys=False))
    folder = linked(finished, tmp_path / "study", changed)
    planned = would_run(folder, ROOT, changed)
    # The report shows the configuration, so it is written anew with any edit that results depend on.
    assert planned == (jobs | {"configuration", "report"} if jobs else NOTHING)


def linked(finished: Path, folder: Path, configfile: Path) -> Path:
    """A folder that shows the finished study to a dry run, under another configuration file."""
    (folder / "results" / "smoke").mkdir(parents=True)
    for path in (finished / "results" / "smoke").iterdir():
        if path.name != ".configuration":
            (folder / "results" / "smoke" / path.name).symlink_to(path)
    (folder / ".snakemake").symlink_to(finished / ".snakemake")
    (folder / "results" / "smoke" / ".configuration").write_text(f"{configfile}\n")
    return folder


def test_turning_tracking_on_trains_nothing_again(finished: Path, tree: Path, tmp_path: Path) -> None:
    # Given a clone beside whose package lies a tracker
    clone = copied(tree, tmp_path / "tree")
    shutil.copyfile(ROOT / "tests" / "support" / "stand_in_trackio.py", clone / "workflow" / "trackio.py")
    # When the finished study asks for it
    configfile = clone / "config" / "smoke.yaml"
    configfile.write_text(configfile.read_text() + "\ntracking: [trackio]\n")
    # Then there is nothing to run
    assert would_run(linked(finished, tmp_path / "study", configfile), clone, configfile) == NOTHING


# --- Edits of the sources ---


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text, f"no {old!r} in the file: this test has to follow its change"
        return text.replace(old, new, 1)

    return edit


def commented(text: str) -> str:
    return f"# A remark.\n{text}\n\n# Another.\n"


def redocumented(text: str) -> str:
    return re.sub(r'^"""', '"""Said otherwise. ', text, count=1)


def reworked(text: str) -> str:
    """Another syntax tree: what any real change of the code is."""
    return f"{text}\nREWORKED = 1\n"


ASKED_AGAIN = asked(POLICIES) | END
SOURCE_EDITS: list[tuple[str, str, Callable[[str], str], set[str]]] = [
    ("a comment", "align/ppo.py", commented, NOTHING),
    ("a docstring", "align/dpo.py", redocumented, NOTHING),
    ("a comment that all share", "settings.py", commented, NOTHING),
    ("dpo", "align/dpo.py", reworked, {"dpo"} | AFTER_DPO),
    ("ppo", "align/ppo.py", reworked, {"ppo"} | AFTER_PPO),
    ("ppo's losses", "rl/losses.py", reworked, {"ppo"} | AFTER_PPO),
    ("sft", "align/sft.py", reworked, {"sft"} | AFTER_SFT),
    ("the reward model", "align/reward.py", reworked, {"reward", "ppo"} | AFTER_PPO),
    ("training from scratch", "train/pretrain.py", reworked, {"base"} | AFTER_BASE),
    ("the engine", "generation/engine.py", reworked, ASKED_AGAIN),
    ("one vertical", "verticals/privacy.py", reworked, {"items privacy"} | asked(POLICIES, ["privacy"]) | END),
    (
        "the toy world's items",
        "data/toyworld/benchmarks.py",
        reworked,
        {f"items {name}" for name in VERTICALS} | asked(POLICIES) | END,
    ),
    ("the toy world's judge", "data/toyworld/judge.py", reworked, {"prepare", "base"} | AFTER_BASE),
    ("statistics", "stats/resampling.py", reworked, END),
    ("one plot", "report/plots/levels.py", reworked, plots("levels") | {"report"}),
    ("the report", "report/page.py", reworked, {"report"}),
    ("the launcher", "jobs/launch.py", reworked, NOTHING),
    ("what jobs ask for", "resources/request.py", reworked, NOTHING),
    ("the command line", "cli.py", reworked, NOTHING),
    ("pending jobs", "pending/table.py", reworked, NOTHING),
]


@pytest.mark.parametrize(
    ("module", "edit", "jobs"), [each[1:] for each in SOURCE_EDITS], ids=[each[0] for each in SOURCE_EDITS]
)
def test_an_edit_of_the_sources_runs_what_uses_them(
    module: str, edit: Callable[[str], str], jobs: set[str], finished: Path, tree: Path, tmp_path: Path
) -> None:
    changed = copied(tree, tmp_path / "tree")
    path = changed / "workflow" / "trustdag" / module
    path.write_text(edit(path.read_text()))
    configfile = changed / "config" / "smoke.yaml"
    assert would_run(linked(finished, tmp_path / "study", configfile), changed, configfile) == jobs


def test_a_checkout_that_changes_only_times_runs_nothing(finished: Path, tree: Path, tmp_path: Path) -> None:
    changed = copied(tree, tmp_path / "tree")
    for path in changed.rglob("*"):
        os.utime(path)
    (changed / "README.md").write_text("Another readme.")
    configfile = changed / "config" / "smoke.yaml"
    assert would_run(linked(finished, tmp_path / "study", configfile), changed, configfile) == NOTHING


def test_an_accepted_change_of_code_runs_nothing(finished: Path, tree: Path, tmp_path: Path) -> None:
    """`--rerun-triggers mtime input` keeps what other code made: for a change that cannot matter to results."""
    changed = copied(tree, tmp_path / "tree")
    path = changed / "workflow" / "trustdag" / "align" / "sft.py"
    path.write_text(reworked(path.read_text()))
    configfile = changed / "config" / "smoke.yaml"
    folder = linked(finished, tmp_path / "study", configfile)
    assert would_run(folder, changed, configfile, "--rerun-triggers", "mtime", "input") == NOTHING


def test_what_an_orphan_finished_is_taken_over_and_later_edits_are_seen(study: Path, tmp_path: Path) -> None:
    # Given a stage that ended after its run was killed: complete, but Snakemake has not written down what made it
    model = "results/smoke/models/tiny/crowd/sft-dpo/seed0"
    outputs = [f"{model}/{name}" for name in ("model", "manifest.json", "digest.txt", "metrics.jsonl")]
    done = snakemake(study, "--cleanup-metadata", *outputs)
    assert done.returncode == 0, done.stderr
    (study / "results" / "smoke" / "report.html").unlink()
    # When the study is finished by a new run
    done = snakemake(study, "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    assert "rule dpo" not in done.stdout + done.stderr
    assert "finished jobs have no metadata" not in done.stderr
    # Then a change of its settings is seen, as of any other stage
    changed = tmp_path / "smoke.yaml"
    changed.write_text(
        yaml.safe_dump(edited(yaml.safe_load(SMOKE.read_text()), {"stages.dpo.beta": 0.2}), sort_keys=False)
    )
    planned = would_run(linked(study, tmp_path / "linked", changed), ROOT, changed)
    assert planned == {"dpo", "configuration", "report"} | AFTER_DPO


# --- Removed and touched files ---

FILE_EDITS: list[tuple[str, list[str], Callable[[Path], object], set[str]]] = [
    # What lies between is made again when something needs it, and not before.
    ("a plot", ["plots/levels.png"], Path.unlink, NOTHING),
    ("the report", ["report.html"], Path.unlink, {"report"}),
    ("the report and a plot", ["report.html", "plots/levels.png"], Path.unlink, plots("levels") | {"report"}),
    ("statistics and replies", ["statistics", "replies/tiny/base"], shutil.rmtree, NOTHING),
    ("items are touched", ["items/bias.parquet"], os.utime, NOTHING),
    (
        "an identical model is made again",
        ["models/tiny/base/manifest.json", "models/tiny/base/digest.txt"],
        os.utime,
        NOTHING,
    ),
    ("a manifest has another origin", ["models/tiny/crowd/sft/seed0/manifest.json"], Path.touch, NOTHING),
    ("prepared data is touched", ["data/crowd/train.parquet"], os.utime, NOTHING),
]


@pytest.mark.parametrize(
    ("names", "edit", "jobs"), [each[1:] for each in FILE_EDITS], ids=[each[0] for each in FILE_EDITS]
)
def test_a_removed_or_touched_file_runs_what_is_missing(
    names: list[str], edit: Callable[[Path], object], jobs: set[str], study: Path
) -> None:
    for name in names:
        edit(study / "results" / "smoke" / name)
    assert would_run(study, ROOT, SMOKE) == jobs


def test_touched_data_of_any_size_runs_nothing(study: Path) -> None:
    # Given tables above the size up to which Snakemake compares contents, all made again with equal content
    results = study / "results" / "smoke"
    for path in [*results.glob("data/*/*"), *results.glob("items/*"), *results.glob("models/**/digest.txt")]:
        os.utime(path)
    # Then no result is due: what follows depends on small files of digests; the page reads cards and items themselves
    assert would_run(study, ROOT, SMOKE, "--max-checksum-file-size", "200") <= {"report"}


# --- Data and models of the user's own ---


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    """A folder with pairs and a base model of the user's own, both taken into the study."""
    shutil.copytree(finished / "results" / "smoke" / "models" / "tiny" / "base" / "model", tmp_path / "model")
    (tmp_path / "pairs.jsonl").write_text(LINE + "\n" + LINE.replace("Hi.", "Hello.") + "\n")
    config = edited(
        yaml.safe_load(SMOKE.read_text()),
        {
            "preferences.crowd": {"source": "hh", "path": "pairs.jsonl", "validation": 0, "test": 0},
            "models.tiny.base": {"source": "folder", "path": "model"},
        },
    )
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(tmp_path, "--until", "prepare", "base", configfile=tmp_path / "own.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path


def with_another_pair(own: Path) -> None:
    with (own / "pairs.jsonl").open("a") as file:
        file.write(LINE.replace("Hi.", "Good day.") + "\n")


def with_other_weights(own: Path) -> None:
    weights = own / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def aged(edit: Callable[[Path], None], name: str) -> Callable[[Path], None]:
    """The edit, after which the file is older than any result: after `mv`, `cp -p`, `rsync -t` or unpacking."""

    def edit_and_age(own: Path) -> None:
        edit(own)
        os.utime(own / name, (1, 1))

    return edit_and_age


OWN_EDITS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "nothing": (lambda own: None, NOTHING),
    "another pair in the file": (with_another_pair, {"prepare"}),
    "other weights in the folder": (with_other_weights, {"base"}),
    "older pairs in place of the file": (aged(with_another_pair, "pairs.jsonl"), {"prepare"}),
    "older weights in place of the folder's": (aged(with_other_weights, "model/model.safetensors"), {"base"}),
    "times alone": (aged(lambda own: None, "pairs.jsonl"), NOTHING),
}


@pytest.mark.parametrize(("edit", "jobs"), OWN_EDITS.values(), ids=list(OWN_EDITS))
def test_an_edit_of_the_users_own_files_takes_them_in_again(
    edit: Callable[[Path], None], jobs: set[str], own: Path
) -> None:
    edit(own)
    assert would_run(own, ROOT, own / "own.yaml", "--until", "prepare", "base") == jobs


# --- Labels ---


def test_labels_of_a_finished_study_run_the_statistics_again_and_nothing_before_them(study: Path) -> None:
    # Given a finished study, a person's labels of some replies, and a second file that adds them
    sheet, second = study / "labels" / "smoke.csv", study / "labels.yaml"
    rows, key = draw(study / "results" / "smoke", Drawing(VERTICALS, count=4, seed=0))
    write(rows.assign(answer="yes"), sheet, key)
    second.write_text("labels: labels/smoke.csv\n")
    # Then the statistics and the report run again
    assert would_run(study, ROOT, SMOKE, str(second)) == END | {"configuration"}
    arguments = arguments_for(study, "--quiet", "rules", "--until", "statistics")
    done = run_snakemake([*arguments, str(second)], clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    statistics = (str(second), "--until", "statistics")
    assert would_run(study, ROOT, SMOKE, *statistics) == NOTHING
    # When one answer is changed, then the statistics run again, and no model is asked or scored
    sheet.write_text(sheet.read_text().replace("yes", "no", 1))
    assert would_run(study, ROOT, SMOKE, *statistics) == {"statistics"}


def test_there_are_at_least_forty_edits() -> None:
    assert len(CONFIG_EDITS) + len(SOURCE_EDITS) + len(FILE_EDITS) + 2 >= 40

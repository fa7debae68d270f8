"""The configuration: whole and typed, or an error that names the file, the key, the value and the mend."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from trustdag.config import reference
from trustdag.config.load import check_folder, check_results, identity, load, mark_results, results_of, validate
from trustdag.config.study import reserved
from trustdag.errors import UserError
from trustdag.settings import PATTERNS

ROOT = Path(__file__).parents[3]
STUDIES = sorted((ROOT / "config").glob("*.yaml"))


def smoke() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The smoke study with one key set (or, with `...`, deleted); `path` is dotted."""
    config = copy.deepcopy(smoke())
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section.setdefault(key, {})
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return config


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_is_valid(study: Path) -> None:
    assert load(study, data_root="/somewhere").name


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("modells", {}, "modells: unknown key"),
        ("name", ..., "name: Field required"),
        ("name", "a/b", "name: must have letters"),
        ("seeds", [], "seeds: List should have at least 1"),
        ("seeds", [0, 0], "a seed is listed twice"),
        ("seeds", ["zero"], "seeds.0: Input should be a valid integer"),
        ("models", {}, "models: Dictionary should have at least 1"),
        ("models.tiny.base.source", "hup", "hup"),
        ("models.tiny.base.layer", 3, "layer: unknown key"),
        ("models.tiny.base.layers", 0, "layers: Input should be greater than or equal to 1"),
        ("models.tiny.base.corpus", "crowds", "no preference set `crowds`; preferences has crowd"),
        ("models.tiny.prompt_format", "html", "prompt_format: Input should be 'hh', 'plain' or 'chat'"),
        ("models.tiny.overrides", {"spo": {}}, "models.tiny.overrides.spo: no stage of that name"),
        ("models.tiny.overrides", {"dpo": {"learning_rat": 1}}, "models.tiny.overrides.dpo: learning_rat: unknown key"),
        ("models.tiny.checkpoints", {"sft-kto": {"source": "folder", "path": "x"}}, "no recipe passes through"),
        ("models.hub", {"base": {"source": "hub", "name": "a/b", "revision": "main"}}, "revision"),
        ("preferences.crowd.source", "reddit", "reddit"),
        ("stages.dpo.beta", "strong", "beta: Input should be a valid number"),
        ("threads.default", 0, "threads.default: Input should be greater than or equal to 1"),
        ("threads.rules", {"statistics": 2}, "statistics: no rule that computes with a model; there are base, "),
        ("stages.dpo.betta", 1, "betta: unknown key"),
        ("stages.kto", {}, "kto"),
        ("stages.sft-2", {"method": "sft"}, "must have letters"),
        ("recipes.kto", ["sft", "kto"], "recipes.kto: no stage `kto`; stages has sft, reward, dpo, ppo, and not every"),
        ("preferences", {}, "recipes.sft: `sft` is trained on preference pairs; name them in `preferences`"),
        ("recipes.ppo", ["sft", "ppo"], "recipes.ppo: stage `ppo` needs a reward model"),
        ("recipes.reward", ["sft", "reward"], "recipes.reward: ends with `reward`, which makes no policy"),
        ("recipes.again", ["sft", "dpo"], "recipes.again: the same chain as `dpo`; remove one of them"),
        ("verticals.kindness", {}, "kindness: unknown key"),
        ("models.toxicity", {"base": {"source": "folder", "path": "x"}}, "`toxicity` is the name of more than one"),
        ("statistics.level", 95, "level: Input should be less than 1"),
        ("preferences.mine", {"source": "hh", "path": "{data_root}/x.jsonl"}, "add `--config data_root=FOLDER`"),
    ],
)  # fmt: skip
def test_an_error_names_file_key_and_mend(path: str, value: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        validate(changed(path, value), "config/mine.yaml")
    assert message in str(error.value)
    assert all(line.startswith("config/mine.yaml: ") for line in str(error.value).splitlines())
    assert len(str(error.value).splitlines()) <= 3


def test_a_number_written_as_1e_3_is_a_number() -> None:
    assert validate(changed("stages.sft.learning_rate", "1e-3"), "x").stages["sft"].learning_rate == 0.001


def test_equal_settings_give_equal_text_whatever_the_order_or_notation() -> None:
    one = validate(changed("stages.dpo", {"beta": 1, "batch_size": 8, "max_length": 64}), "x").stages["dpo"]
    other = validate(changed("stages.dpo", {"batch_size": 8, "beta": 1.0, "max_length": 64}), "x").stages["dpo"]
    assert one.as_json() == other.as_json()


def test_overrides_hold_for_one_model_alone() -> None:
    config = changed("models.other", {"base": {"source": "folder", "path": "x"}, "overrides": {"dpo": {"beta": 0.5}}})
    study = validate(config, "x")
    assert study.stage_settings("other", "dpo").beta == 0.5
    assert study.stage_settings("tiny", "dpo").beta == study.stages["dpo"].beta


def test_data_root_stands_for_a_folder(tmp_path: Path) -> None:
    config = changed("preferences.mine", {"source": "hh", "path": "{data_root}/x.jsonl"}) | {"data_root": tmp_path}
    assert str(tmp_path / "x.jsonl") in validate(config, "x").preferences["mine"].as_json()


def test_a_missing_or_malformed_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("name: [")
    with pytest.raises(UserError, match=r"bad\.yaml: not YAML"):
        load(tmp_path / "bad.yaml")
    (tmp_path / "colon.yaml").write_text("a: 1\nstages\n  sft: {}\n")
    with pytest.raises(UserError, match=r"colon\.yaml: not YAML: line 3, column 6: could not find expected ':'"):
        load(tmp_path / "colon.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserError, match="a study is a mapping"):
        load(tmp_path / "list.yaml")


def test_a_results_folder_belongs_to_one_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = validate(smoke(), "config/smoke.yaml")
    mark_results(study, "config/smoke.yaml")
    check_results(study, "config/smoke.yaml")
    with pytest.raises(UserError, match=r"holds the study of config/smoke\.yaml; give this one another `name`"):
        check_results(study, "config/copy.yaml")
    # but a mark that was emptied, as by a power cut, names nobody
    next(tmp_path.rglob(".configuration")).write_text("")
    check_results(study, "config/copy.yaml")


def test_another_file_may_correct_and_present_a_finished_study_and_not_make_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the results of a finished study
    monkeypatch.chdir(tmp_path)
    study = validate(smoke(), "config/smoke.yaml")
    mark_results(study, "config/smoke.yaml")
    (tmp_path / "results/smoke/configuration.json").write_text(results_of(study))
    # Then a further file may add labels, or other statistics
    overlaid = "config/smoke.yaml + labels.yaml"
    check_results(validate(changed("labels", "labels/smoke.csv"), "x"), overlaid)
    check_results(validate(changed("statistics.level", 0.9), "x"), overlaid)
    # And not other models
    with pytest.raises(UserError, match=r"holds the study of config/smoke\.yaml; give this one another `name`"):
        check_results(validate(changed("models.tiny.base.steps", 11), "x"), overlaid)
    # And a damaged record is no proof
    (tmp_path / "results/smoke/configuration.json").write_text("{")
    with pytest.raises(UserError, match="holds the study"):
        check_results(study, overlaid)


def test_the_schema_and_the_reference_are_in_step() -> None:
    mend = "run `trustdag schema` and commit what it wrote"
    assert (ROOT / "config" / "schema.json").read_text() == reference.schema(), mend
    assert (ROOT / "docs" / "configuration.md").read_text() == reference.page(), mend


def test_every_key_is_documented() -> None:
    undocumented = [
        f"{name}.{key}"
        for name, section in json.loads(reference.schema())["$defs"].items()
        for key, field in section.get("properties", {}).items()
        if not field.get("description")
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", ["generate", "report", "sft", "fetch"])
def test_a_model_may_not_be_named_like_a_rule(name: str) -> None:
    with pytest.raises(UserError, match=f"`{name}` is the name of more than one target"):
        validate(changed(f"models.{name}", {"base": {"source": "folder", "path": "x"}}), "x")


def test_the_rules_are_those_of_the_workflow() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--list-rules", "--configfile", "config/smoke.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    targets = {"smoke", "tiny", "toxicity", "bias", "ethics", "truthfulness", "privacy"}
    # The smoke study attributes nothing, derives no preference set, and continues no training without preference.
    assert set(listed) - targets == reserved() - {"attribute", "derive", "continued"}


def test_a_template_that_runs_code_is_no_study(tmp_path: Path) -> None:
    path = tmp_path / "theirs.yaml"
    path.write_text(yaml.safe_dump(smoke() | {"__use_yte__": True}))
    with pytest.raises(UserError, match=r"theirs\.yaml: __use_yte__: a template may run any code"):
        load(path)


def test_a_read_only_working_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_folder()
    (tmp_path / ".snakemake").mkdir()
    check_folder()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match=r"\.snakemake: cannot be written"):
        check_folder()


def test_a_file_is_the_same_by_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    monkeypatch.chdir(ROOT / "config")
    spelled = [Path("demo.yaml"), Path("../config/demo.yaml"), tmp_path / "link" / "config" / "demo.yaml"]
    assert {identity([path]) for path in spelled} == {"config/demo.yaml"}
    assert identity([Path("demo.yaml"), tmp_path / "more.yaml"]) == f"config/demo.yaml + {tmp_path / 'more.yaml'}"


def test_later_files_change_keys_of_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("seeds: [1]\nstages: {dpo: {beta: 0.7}}\n")
    study = load(ROOT / "config" / "smoke.yaml", tmp_path / "more.yaml", name="other")
    assert (study.name, study.seeds, study.stages["dpo"].beta) == ("other", [1], 0.7)
    assert study.stages["dpo"].max_steps == 4


@pytest.mark.parametrize("rule", ["base", "sft", "ppo", "generate", "attribute"])
def test_what_computes_with_a_model_takes_the_studys_threads(rule: str) -> None:
    assert validate(changed("threads", {"default": 3}), "x").threads.of(rule) == 3
    assert validate(changed("threads.rules", {rule: 5}), "x").threads.of(rule) == 5


def test_every_pattern_of_a_study_is_explained_in_words() -> None:
    schema = (Path(__file__).parents[3] / "config" / "schema.json").read_text(encoding="utf-8")
    assert {json.loads(text) for text in re.findall(r'"pattern": ("[^"]*")', schema)} <= PATTERNS.keys()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("name", "a b", "letters, digits, `_`, `.` and `-` alone"),
        ("models.tiny.base", {"source": "hub", "name": "a/b", "revision": "main"}, "the 40 hexadecimal digits"),
    ],
)
def test_a_text_of_another_form_is_answered_in_words(key: str, value: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        validate(changed(key, value), "x")
    assert "pattern" not in str(error.value)


def test_a_wrong_entry_does_not_make_its_list_too_short() -> None:
    with pytest.raises(UserError, match=r"did you mean `profanity`\?$") as error:
        validate(changed("verticals.toxicity.score.scorers", [{"name": "profanit"}]), "x")
    assert len(str(error.value).splitlines()) == 1

"""What `check` accepts is what runs: numbers are bounded, texts can be written, names are known."""

import copy
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt

from trustdag import dag
from trustdag.cli import main
from trustdag.config import load
from trustdag.config.study import Study, reserved
from trustdag.errors import UserError
from trustdag.jobs.allocation import configurations
from trustdag.resources import request
from trustdag.settings import Growing, Section

ROOT = Path(__file__).parents[3]
SMOKE = load.read(ROOT / "config" / "smoke.yaml")


@pytest.fixture(autouse=True)
def no_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUSTDAG_SITE", str(tmp_path / "site.yaml"))
    (tmp_path / "site.yaml").touch()


# --- Every number has a bound ---


def numbers(kind: Any, metadata: list[Any], seen: set[type]) -> Iterator[tuple[str, type, list[Any]]]:
    """The numbers in a type of a field, and in the sections below it: key, int or float, and what bounds it."""
    growing = next((note for note in metadata if isinstance(note, Growing)), None)
    if growing is not None:
        yield from numbers(growing.shipped(), [], seen)
    elif typing.get_origin(kind) is typing.Annotated:
        inner, *notes = typing.get_args(kind)
        bounds = [bound for note in notes for bound in getattr(note, "metadata", [note])]
        yield from numbers(inner, [*metadata, *bounds], seen)
    elif typing.get_origin(kind) in (typing.Union, types.UnionType, list, tuple, dict):
        for part in typing.get_args(kind):
            yield from numbers(part, metadata, seen)
    elif kind in (int, float):
        yield "", kind, metadata
    elif isinstance(kind, type) and issubclass(kind, Section) and kind not in seen:
        seen.add(kind)
        for name, field in kind.model_fields.items():
            for key, number, bounds in numbers(field.annotation, list(field.metadata), seen):
                yield key or f"{kind.__module__}.{kind.__name__}.{name}", number, bounds


NUMBERS = {key: (kind, bounds) for key, kind, bounds in numbers(Study, [], set())}
UNBOUNDED = {f"trustdag.models.base.{source}.template_arguments" for source in ("Hub", "Folder", "Gguf")}
"""Values that only a model's own template reads."""


def test_there_are_many_numbers() -> None:
    assert len(NUMBERS) > 100


@pytest.mark.parametrize("key", sorted(NUMBERS.keys() - UNBOUNDED))
def test_a_number_has_a_least_and_a_greatest_value(key: str) -> None:
    _, bounds = NUMBERS[key]
    assert any(isinstance(bound, Ge | Gt) for bound in bounds)
    assert any(isinstance(bound, Le | Lt) for bound in bounds)


@pytest.mark.parametrize("key", [key for key in NUMBERS if re.search(r"\.(\w*seed|world)$", key)])
def test_a_seed_is_one_that_every_generator_takes(key: str) -> None:
    _, bounds = NUMBERS[key]
    assert {0, 2**32} == {getattr(bound, "ge", getattr(bound, "lt", None)) for bound in bounds}


# --- A value at its bound is planned, or refused ---


def leaves(section: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the numbers of a validated study stand."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, key)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    config = copy.deepcopy(load.validate(SMOKE, "smoke").model_dump(mode="json"))
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return config


LEAVES = list(leaves(load.validate(SMOKE, "smoke").model_dump(mode="json")))
EXTREMES = (-1, 0, 1, 1e-300, 1e-12, 2**32 - 1, 2**32, 10**8, 10**12, 1e308, 10**400)


@pytest.mark.parametrize("path", LEAVES, ids=[".".join(path) for path in LEAVES])
def test_an_extreme_number_is_planned_or_refused_in_a_sentence(path: tuple[str, ...]) -> None:
    for value in EXTREMES:
        try:
            study = load.validate(changed(path, value), "study.yaml")
            request.check(study, reserved())
            for model_id in dag.models_needed(study):
                wildcards = {"model": model_id.model, "external": model_id.chain_name, "chain": model_id.chain_name}
                rule = study.stages[model_id.chain[-1]].method if model_id.is_trained else "base"
                unused = "external" if model_id.is_trained else "chain"
                request.job_resources(study, rule, {k: v for k, v in wildcards.items() if k != unused})
        except UserError as error:
            assert len(str(error).splitlines()) <= 3  # noqa: PT017 - most values pass


# --- Texts, names and sizes ---


TEXTS = {
    "half of a surrogate pair": ("notice", "\ud800", r"notice: holds the character U\+D800"),
    "a NUL in a path": ("preferences.crowd.license", "a\0b", r"preferences.crowd.license: holds the character U\+0000"),
    "an escape sequence": ("report.page.title", "\x1b[31m", r"report.page.title: holds the character U\+001B"),
    "a control character of C1": ("report.page.title", "\x85", r"report.page.title: holds the character U\+0085"),
    "a surrogate in a list": ("report.plots.levels.colors", ["\udfff"], "report.plots.levels.colors: holds the char"),
    "a surrogate in a key": ("models.\udc80", {}, r"models.a key: holds the character U\+DC80"),
}
NAMES = {
    "a name that no file may have": ("models", {"m" * 60: SMOKE["models"]["tiny"]}, "at most 50 characters"),
    "a plan's unknown model": ("plan.models", {"tinny": 2}, r"plan.models.tinny: no such name; did you mean `tiny`\?"),
    "a plan's unknown vertical": ("plan.verticals", {"x": 2}, "plan.verticals.x: no such name; the study has "),
}
SIZES = {
    "a negative seed of the base": ("models.tiny.base.seed", -1, "models.tiny.base.seed: .*greater than or equal to 0"),
    "a seed of 70 bits": ("preferences.crowd.split_seed", 2**70, "preferences.crowd.split_seed: "),
    "a seed of items": ("verticals.bias.items.world", -1, "verticals.bias.items.world: "),
    "a million million pairs": ("preferences.crowd.pairs", 10**12, "preferences.crowd.pairs: .*less than or equal"),
    "a million million items": ("verticals.bias.items.n", 10**12, "verticals.bias.items.n: "),
    "a thousand million samples": ("verticals.bias.generate.samples", 10**9, "verticals.bias.generate.samples: "),
    "an absurd width": ("models.tiny.base.hidden_size", 10**9, "models.tiny.base.hidden_size: "),
    "absurdly many layers": ("models.tiny.base.layers", 10**9, "models.tiny.base.layers: "),
    "heads that do not divide": ("models.tiny.base.heads", 3, "models.tiny.base: hidden_size: .*multiple of 8 x heads"),
    "decay rates above 1": ("models.tiny.base.betas", [2, 3], "models.tiny.base.betas"),
    "an absurd learning rate": ("stages.sft.learning_rate", 1e300, "stages.sft.learning_rate: "),
    "texts beyond the context": ("stages.sft.max_length", 4096, "max_length: 4096 tokens do not fit the context of"),
    "replies beyond the context": ("verticals.bias.generate.max_new_tokens", 128, "leaves no room for a prompt"),
    "minibatches that do not divide": ("stages.ppo.minibatches", 3, "do not divide into 3 minibatches"),
    "layers that are not there": ("stages.ppo.top_layers", 99, "stages.ppo.top_layers: 99, but tiny has"),
    "a color that does not exist": ("report.plots.levels.colors", ["bleu"], "no color that matplotlib knows.*'bleu'"),
    "a color map that does not exist": ("report.plots.stereotypes.color_map", "PuOr_x", r"did you mean `PuOr_r`\?"),
    "no regular expression": ("attribution.bias", {"layers": "("}, "layers: not a regular expression"),
}
REQUESTS = {
    "an unknown rule": ("resources.rules.sfft", {"gpu": 1}, r"rules.sfft: no such name; did you mean `sft`\?"),
    "a rule like no other": ("resources.rules.NOPE", {}, "resources.rules.NOPE: no such name; the workflow has .*ppo"),
    "an unknown model": ("resources.models.tinny", {}, r"resources.models.tinny: no such name; did you mean `tiny`\?"),
    "an unknown rule of a model": ("resources.models.tiny.rules.ddpo", {}, r"tiny.rules.ddpo: .*did you mean `dpo`\?"),
    "no name of a file": ("resources.rules.ppo.accelerate", "..", "ppo.accelerate: no such name; config/acc"),
    "an unknown accelerate": ("resources.rules.ppo.accelerate", "fdsp", r"ppo.accelerate: .*did you mean `fsdp`\?"),
}
CASES = {name: case for cases in (TEXTS, NAMES, SIZES, REQUESTS) for name, case in cases.items()}


@pytest.mark.parametrize("case", CASES)
def test_check_refuses_what_cannot_run(case: str) -> None:
    key, value, complaint = CASES[case]
    config = copy.deepcopy(SMOKE)
    *parents, last = key.split(".")
    section = config
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    with pytest.raises(UserError, match=complaint):
        request.check(load.validate(config, "study.yaml"), reserved())


@pytest.mark.parametrize("name", configurations())
def test_check_accepts_every_configuration_of_accelerate_and_none(name: str) -> None:
    config = copy.deepcopy(SMOKE) | {"resources": {"rules": {"ppo": {"gpu": 1, "accelerate": name}}}}
    request.check(load.validate(config, "study.yaml"), reserved())


@pytest.mark.parametrize("name", ["base", "a-b", "a/b", ".x", ""])
@pytest.mark.parametrize("is_trained", [True, False])
def test_a_stage_whose_name_is_no_part_of_a_path_is_refused(name: str, is_trained: bool) -> None:
    # Given a stage that the study trains, or one of which its model has a checkpoint
    config = copy.deepcopy(SMOKE)
    config["recipes"]["z"] = [name]
    if is_trained:
        config["stages"][name] = {"method": "sft", "max_length": 64}
    else:
        config["models"]["tiny"]["checkpoints"] = {name or "base": {"source": "folder", "path": "model"}}
    # Then the study is refused by its name, or by the pattern of names
    with pytest.raises(UserError, match=r"names no stage|must have letters|no recipe passes"):
        load.validate(config, "study.yaml")


def test_a_study_without_verticals_is_refused() -> None:
    with pytest.raises(UserError, match=r"verticals: none is measured; name at least one of .*bias"):
        load.validate(copy.deepcopy(SMOKE) | {"verticals": {"bias": None}}, "study.yaml")


def test_a_chain_that_no_file_may_be_named_by_is_refused() -> None:
    stages = {"s" * 45: {"method": "sft", "max_length": 64}, "d" * 45: {"method": "dpo", "max_length": 64}}
    config = copy.deepcopy(SMOKE) | {"stages": stages, "recipes": {"long": list(stages)}}
    with pytest.raises(UserError, match="the names of its stages have more than 80 characters"):
        load.validate(config, "study.yaml")


def test_a_text_that_yaml_escapes_is_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a study that is plain ASCII and holds half of a surrogate pair
    text = (ROOT / "config" / "smoke.yaml").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(text + '\ndata_root: "\\ud800"\n')
    # Then the command ends with one sentence that any terminal can show
    assert main(["check", str(tmp_path / "study.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "study.yaml: data_root: holds the character U+D800" in line
    assert line.isascii()


@pytest.mark.parametrize("text", ["a\nb", "tab\there", "Grüße, 世界 🙂"])
def test_what_a_person_writes_is_accepted(text: str) -> None:
    config = copy.deepcopy(SMOKE) | {"notice": text}
    assert load.validate(config, "study.yaml").notice == text

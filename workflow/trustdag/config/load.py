"""From YAML to a validated Study, with errors that name the file, the key, the value and the mend."""

import json
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trustdag.artifacts import atomic_file, sha256_text
from trustdag.config.study import Study
from trustdag.errors import UserError
from trustdag.jobs.record import ANNOUNCED
from trustdag.layout import Results
from trustdag.settings import explain

CACHE = "SNAKEMAKE_OUTPUT_CACHE"


def load(path: Path, **overrides: Any) -> Study:
    """The study in a YAML file; `overrides` are top-level keys, as `--config` gives them.

    Raises UserError if the file is missing, is not YAML, or does not describe a study.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: a study is a mapping of keys; see config/demo.yaml")
    return validate(config | overrides, str(path))


def validate(config: dict[str, Any], origin: str) -> Study:
    """The study in a merged configuration; `origin` is the file that errors name."""
    if config.get("data_root") is not None:
        config = config | {"data_root": str(config["data_root"])}
    config = _with_data_root(config, config.get("data_root"), origin, ())
    try:
        return Study.model_validate(config)
    except ValidationError as error:
        raise UserError(explain(error, origin, config)) from None


def check_results(study: Study, origin: str) -> None:
    """Raises UserError if the results folder holds the study of another configuration file."""
    mark = _mark(study)
    if mark.is_file() and (owner := mark.read_text(encoding="utf-8").strip()) != origin:
        raise UserError(
            f"{origin}: name: {Results.of(study.name).root} holds the study of {owner};"
            f" give this one another `name`, or delete {mark} if the file was only moved"
        )


def mark_results(study: Study, origin: str) -> None:
    """Notes in the results folder which configuration file it belongs to."""
    with atomic_file(_mark(study)) as partial:
        partial.write_text(origin + "\n", encoding="utf-8")


def check_cache() -> None:
    """Raises UserError if the cache between studies cannot be written: Snakemake would find out when a job is done."""
    folder = os.environ.get(CACHE)
    if folder and not (Path(folder).is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
        raise UserError(f"{CACHE}={folder}: not a folder that you may write to; make it one, or unset the variable")


def announce(study: Study) -> None:
    """Tells the jobs of this run, by their environment, which study they belong to."""
    os.environ[ANNOUNCED] = digest(study)


def check_announced(study: Study, origin: str) -> None:
    """Raises UserError in a job that reads another study than the run that started it: the file was edited meanwhile.

    Its result would stand under the settings that the run has read. What jobs ask for may be edited at any time.
    """
    if os.environ.get(ANNOUNCED, own := digest(study)) != own:
        raise UserError(
            f"{origin}: edited since this run began; undo the edit, or end the run and start it again:"
            " what is finished stays"
        )


def results_of(study: Study) -> str:
    """The configuration that results follow from, as JSON: not what jobs ask for, nor what a plan is worth."""
    return json.dumps(study.model_dump(mode="json", exclude={"resources", "plan"}), sort_keys=True)


def digest(study: Study) -> str:
    """The SHA-256 of the configuration that results follow from."""
    return sha256_text([results_of(study)])


def write_down(content: str, output: str, log: str) -> None:
    """Writes a rule's parameter to its output: a command line could not hold that of a large study."""
    Path(output).write_text(content + "\n", encoding="utf-8")
    Path(log).write_text(f"{len(content)} characters\n", encoding="utf-8")


def _mark(study: Study) -> Path:
    return Path(Results.of(study.name).owner)


def _with_data_root(value: Any, root: str | None, origin: str, key: tuple[str, ...]) -> Any:
    """The configuration with `{data_root}` replaced in every text."""
    if isinstance(value, dict):
        return {name: _with_data_root(each, root, origin, (*key, str(name))) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_data_root(each, root, origin, key) for each in value]
    if isinstance(value, str) and "{data_root}" in value:
        if root is None:
            raise UserError(f"{origin}: {'.'.join(key)}: {value!r} needs data_root; add `--config data_root=FOLDER`")
        return value.replace("{data_root}", root)
    return value

"""Reads and validates a Study from YAML. Errors name the file, the key, the value and the remedy."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trustdag.artifacts import atomic_file, sha256_text
from trustdag.config.study import Study
from trustdag.errors import UserError
from trustdag.fingerprint import ROOT
from trustdag.jobs.record import ANNOUNCED
from trustdag.layout import Results
from trustdag.plugins import files
from trustdag.settings import explain, refuse_characters
from trustdag.yamlfiles import read_yaml

CACHE = "SNAKEMAKE_OUTPUT_CACHE"
CLONE = ROOT.resolve()
JOINED = " + "
"""Separator between the files of a study with several."""
TEMPLATE = "__use_yte__"
"""A configuration file with this key is a YTE template for Snakemake."""
_STUDIES: list[str] = []
"""Digests of the studies of this run. There are several if a workflow imports this one more than once."""


def load(*paths: Path, **overrides: Any) -> Study:
    """The study in one or several YAML files. Keys of later files override those of earlier ones, as in Snakemake.

    Args:
        paths: The files.
        overrides: Top-level keys, as `--config` gives them.

    Raises:
        UserError: A file is missing, not YAML or a template, or the configuration is not a valid study.
    """
    config = merged(*paths, **overrides)
    files.use(plugins_of(config))
    return validate(config, identity(paths))


def merged(*paths: Path, **overrides: Any) -> dict[str, Any]:
    """The keys of a study's files, not yet validated, with absolute paths of its plugins, none of which is run.

    Args:
        paths: The files.
        overrides: Top-level keys, as `--config` gives them.

    Raises:
        UserError: A file is missing, is not YAML or is a template.
    """
    config: dict[str, Any] = {}
    for path in paths:
        config = _merged(config, read(path))
    return with_plugins(_merged(config, overrides), paths, identity(paths))


def with_plugins(config: dict[str, Any], paths: Iterable[Path], origin: str) -> dict[str, Any]:
    """The configuration with absolute paths of the plugins that it names. None of them is run.

    Args:
        config: The merged configuration.
        paths: The study's files: plugins are named relative to them.
        origin: The file that errors name.

    Raises:
        UserError: `plugins` is no list of texts.
    """
    named = files.named_by(config, [(Path(path), read(Path(path))) for path in paths], origin)
    return config | {"plugins": list(map(str, named))} if named else config


def plugins_of(config: dict[str, Any]) -> list[Path]:
    """The plugins that a configuration of `with_plugins` names."""
    return list(map(Path, config.get("plugins") or []))


def read(path: Path) -> dict[str, Any]:
    """The keys in a YAML file. Raises UserError if it has no YAML keys, or is a template that runs code."""
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise UserError(f"{path}: a study is a mapping of keys; see config/demo.yaml")
    if TEMPLATE in config:
        raise UserError(f"{path}: {TEMPLATE}: a template may run any code and is no study; remove the key")
    return config


def refuse_templates(paths: Iterable[Path]) -> None:
    """Raises UserError for a configuration file that Snakemake's loader would take for a program.

    `snakemake` itself reads its `--configfile` before our code runs, and runs the plugins that a study names:
    `trustdag check --no-plugins` a stranger's file first.
    """
    for path in paths:
        read(path)


def identity(paths: Iterable[Path]) -> str:
    """The identity of a study's configuration files: their paths, relative to the clone or resolved."""
    return JOINED.join(_relative_to_clone(Path(path).resolve()) for path in paths)


def _relative_to_clone(path: Path) -> str:
    return str(path.relative_to(CLONE) if path.is_relative_to(CLONE) else path)


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """`first` with the keys of `second`, section by section."""
    both = {
        key: _merged(first[key], value)
        for key, value in second.items()
        if isinstance(value, dict) and isinstance(first.get(key), dict)
    }
    return first | second | both


def validate(config: dict[str, Any], origin: str) -> Study:
    """The study of a merged configuration. Errors name `origin` as its file."""
    refuse_characters(config, origin)
    root = config.get("data_root")
    if isinstance(root, dict | list):
        raise UserError(f"{origin}: data_root: must be the path of a folder (got {root!r:.100})")
    if root is not None:
        root = str(root)  # `--config data_root=2024` gives a number
        config = config | {"data_root": root}
    config = _with_data_root(config, root, origin, ())
    try:
        return Study.model_validate(config)
    except ValidationError as error:
        raise UserError(explain(error, origin, config)) from None


def check_results(study: Study, origin: str) -> None:
    """Raises UserError if the results folder belongs to another configuration file, which makes other replies.

    A copy of the file, or the same file with further ones, may differ in what follows the records: labels, statistics
    and report.
    """
    mark = _mark(study)
    written = mark.read_text(encoding="utf-8", errors="replace").strip() if mark.is_file() else ""
    if not written:
        return
    named = written.split(JOINED)
    owner = JOINED.join(identity([Path(name)]) if Path(name).is_absolute() else name for name in named)
    if owner != origin and not _has_these_records(study):
        raise UserError(
            f"{origin}: name: {Results.of(study.name).root} holds the study of {owner};"
            f" give this one another `name`, or delete {mark} if the file was only moved"
        )


AFTER_RECORDS = ("labels", "statistics", "report")
"""Keys that nothing but the statistics and the report depends on."""


def _has_these_records(study: Study) -> bool:
    """Whether the results folder's finished study has the records of this one."""
    written = Path(Results.of(study.name).configuration)
    if not written.is_file():
        return False
    try:
        before = json.loads(written.read_bytes())
    except (ValueError, RecursionError):
        return False
    present = json.loads(results_of(study))
    return isinstance(before, dict) and all(
        before.get(key) == present.get(key) for key in before.keys() | present.keys() if key not in AFTER_RECORDS
    )


def mark_results(study: Study, origin: str) -> None:
    """Writes to the results folder which configuration file it belongs to."""
    with atomic_file(_mark(study)) as partial:
        partial.write_text(origin + "\n", encoding="utf-8")


def check_cache() -> None:
    """Raises UserError if the cache between studies is not writable. Snakemake would fail only after a job."""
    folder = os.environ.get(CACHE)
    if folder and not (Path(folder).is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
        raise UserError(f"{CACHE}={folder}: not a folder that you may write to; make it one, or unset the variable")


def check_folder() -> None:
    """Raises UserError for a read-only working directory. Snakemake writes even in a dry run, and has no message."""
    folder = Path(".snakemake")
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{folder.absolute()}: cannot be written, which Snakemake needs even for a dry run; make it writable, or"
            " copy the folder with the study elsewhere"
        )


def announce(study: Study) -> None:
    """Sets the environment variable from which the jobs of this run know their studies."""
    _STUDIES.append(digest(study))
    os.environ[ANNOUNCED] = ",".join(_STUDIES)


def check_announced(study: Study, origin: str) -> None:
    """Raises UserError in a job whose study differs from that of its run, because the file was edited meanwhile.

    The result would be stored under the settings of the run. The resources of jobs may be edited at any time.
    """
    own = digest(study)
    if own not in os.environ.get(ANNOUNCED, own).split(","):
        raise UserError(
            f"{origin}: edited since this run began; undo the edit, or end the run and start it again:"
            " what is finished stays"
        )


def results_of(study: Study) -> str:
    """The configuration that results follow from, as JSON.

    Not what jobs ask for, nor what a plan is worth, nor who watches the training, nor where plugins lie: jobs follow
    from what these hold.
    """
    return json.dumps(
        study.model_dump(mode="json", exclude={"resources", "plan", "plugins", "tracking"}), sort_keys=True
    )


def digest(study: Study) -> str:
    """The SHA-256 of the configuration that results depend on."""
    return sha256_text([results_of(study)])


def write_down(content: str, output: str, log: str) -> None:
    """Writes a rule's parameter to its output, because that of a large study is too long for a command line.

    Args:
        content: content of the file.
        output: the file.
        log: the job's log, which is overwritten.
    """
    Path(output).write_text(content + "\n", encoding="utf-8")
    Path(log).write_text(f"{len(content)} characters\n", encoding="utf-8")


def _mark(study: Study) -> Path:
    return Path(Results.of(study.name).owner)


def _with_data_root(value: Any, root: str | None, origin: str, key: tuple[str, ...]) -> Any:
    """The configuration with `{data_root}` replaced in every text."""
    if isinstance(value, dict):
        return {name: _with_data_root(entry, root, origin, (*key, str(name))) for name, entry in value.items()}
    if isinstance(value, list):
        return [_with_data_root(entry, root, origin, key) for entry in value]
    if isinstance(value, str) and "{data_root}" in value:
        if root is None:
            raise UserError(f"{origin}: {'.'.join(key)}: {value!r} needs data_root; add `--config data_root=FOLDER`")
        return value.replace("{data_root}", root)
    return value

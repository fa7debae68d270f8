"""`trustdag check`: validates a study and lists its models."""

import argparse
from pathlib import Path
from typing import Any

from trustdag.errors import UserError, first_line

HELP = "Validate a study's configuration and the files that it names, and list the models that it trains and evaluates."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("study", type=Path, nargs="+", help="the study's YAML files; later ones override earlier ones")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys that differ from the file")
    parser.add_argument(
        "--no-plugins", action="store_true", help="run no Python file that the study names: list them and go no further"
    )
    parser.add_argument("--data-root", help="what {data_root} stands for in the study's paths")


def run(arguments: argparse.Namespace) -> None:
    """Prints the study's models, one per line. Raises UserError for everything that a dry run would refuse."""
    from trustdag import dag, local_models
    from trustdag.config import load
    from trustdag.config.study import reserved
    from trustdag.plugins import files
    from trustdag.progress import aligned, counted
    from trustdag.resources import request, site
    from trustdag.train import tracking

    names = " ".join(map(str, arguments.study))
    overrides = _settings(arguments.config)
    if arguments.data_root:
        overrides["data_root"] = arguments.data_root
    named = load.plugins_of(load.merged(*arguments.study, **overrides))
    if named and arguments.no_plugins:
        listed = "; ".join(f"{path} ({files.kind_of(path)})" for path in named)
        raise UserError(
            f"{names}: plugins: the study names Python files, and none was run: {listed}. Read them first: without"
            " --no-plugins this command runs them, as every run of the study does"
        )
    files.say(named)
    study = load.load(*arguments.study, **overrides)
    load.check_results(study, load.identity(arguments.study))
    load.check_cache()
    tracking.check(study.tracking, f"{names}: tracking")
    dag.source_files(study)
    local_models.check(study)
    request.check(study, reserved())
    site.load()
    evaluated = {entry.model: entry.recipe for entry in dag.evaluated_models(study)}
    rows = [("model", "made by", "recipe")]
    for model_id in dag.models_needed(study):
        maker = study.stages[model_id.chain[-1]].method if model_id.is_trained else "-"
        rows.append((str(model_id), maker, evaluated.get(model_id, "(not evaluated)")))
    print("\n".join(aligned(rows)))
    models, verticals = counted(len(evaluated), "model"), counted(len(study.verticals_measured()), "vertical")
    print(f"{models} on {verticals}: {names} is valid")


def _settings(entries: list[str]) -> dict[str, Any]:
    """The keys and values of `--config`, parsed by Snakemake's own function."""
    from snakemake.cli import parse_config

    try:
        return dict(parse_config(entries))
    except ValueError as error:
        raise UserError(f"--config: {' '.join(entries)}: write KEY=VALUE ({first_line(error)})") from None

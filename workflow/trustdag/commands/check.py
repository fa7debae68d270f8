"""`trustdag check`: validates a study and lists its models."""

import argparse
from pathlib import Path
from typing import Any

from trustdag.errors import UserError

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
    from trustdag import dag
    from trustdag.config import load
    from trustdag.config.study import reserved
    from trustdag.plugins import files
    from trustdag.progress import aligned
    from trustdag.resources import request, site
    from trustdag.train import tracking

    names = " ".join(map(str, arguments.study))
    overrides = dict(map(_setting, arguments.config))
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
    dag.check_templates(study)
    request.check(study, reserved())
    site.load()
    evaluated = {entry.model: entry.recipe for entry in dag.evaluated_models(study)}
    rows = [("model", "made by", "recipe")]
    for model_id in dag.models_needed(study):
        maker = study.stages[model_id.chain[-1]].method if model_id.is_trained else "-"
        rows.append((str(model_id), maker, evaluated.get(model_id, "(not evaluated)")))
    print("\n".join(aligned(rows)))
    counts = [(len(evaluated), "model"), (len(study.verticals_measured()), "vertical")]
    models, verticals = (f"{count} {noun}{'s' if count != 1 else ''}" for count, noun in counts)
    print(f"{models} on {verticals}: {names} is valid")


def _setting(text: str) -> tuple[str, Any]:
    """A key and its value, parsed as by `snakemake --config`."""
    import yaml

    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--config: {text}: write KEY=VALUE")
    return key, yaml.safe_load(value)

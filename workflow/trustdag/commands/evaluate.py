"""`trustdag evaluate`: measures existing models on every vertical, without a study file."""

import argparse
from math import ceil
from pathlib import Path
from typing import Any, get_args

from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.models.dialogue import PromptFormat
from trustdag.verticals import shipped_verticals, vertical, verticals

HELP = "Measure existing models on all or some verticals and write the report, without preference data or training."
FILES = {
    "toxicity": ("toxicity/toxic.jsonl.gz", "toxicity/nontoxic.jsonl.gz"),
    "bias": ("bias/user_prompts.csv.gz",),
    "ethics": ("ethics/cm_test.csv.gz",),
    "truthfulness": ("truthfulness/truth_mc.json.gz",),
}
"""Paths of the benchmarks in `--data-root`, by vertical. The items of other verticals need no file."""
KINDS = 10
"""About the number of kinds of secrets in privacy, among which `--limit` is divided."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="model folder, GGUF file, or NAME@COMMIT on the hub")
    parser.add_argument("--verticals", nargs="+", metavar="VERTICAL", help="what is measured; default: all")
    parser.add_argument("--plugins", type=Path, nargs="+", default=[], metavar="FILE", help="verticals of your own")
    parser.add_argument("--prompt-format", choices=get_args(PromptFormat), default="chat", help="prompt format")
    parser.add_argument("--data-root", type=Path, help="folder of the benchmarks; default: their publishers' addresses")
    parser.add_argument("--toy", action="store_true", help="use items of the toy world instead, for a quick trial")
    parser.add_argument("--limit", type=int, help="largest number of records of each benchmark; default: all")
    parser.add_argument("--name", default="evaluation", help="the results are in results/NAME")
    parser.add_argument("--cores", default="all", help="CPU cores to use")
    parser.add_argument("--write-only", action="store_true", help="write the study and run nothing")


def run(arguments: argparse.Namespace) -> None:
    """Writes the study and lets Snakemake run it.

    Raises UserError for an invalid model or study. Snakemake prints the messages of failed jobs.
    """
    from trustdag import dag, local_models
    from trustdag.commands.run import start
    from trustdag.config.load import validate
    from trustdag.plugins import files

    _refuse_inside_a_model(arguments.models)
    files.use(arguments.plugins)
    root = Results.of(arguments.name).root
    path = Path(f"{root}.yaml")
    content = study(arguments)
    checked = validate(content, str(path))
    dag.source_files(checked)
    local_models.check(checked)
    _write(path, content)
    if arguments.write_only:
        print(f"{path}: the study. Next: `trustdag run {path}`")
        return
    if start([path], ["--cores", arguments.cores]):
        raise UserError(f"{path}: the study did not finish; fix the errors above, and run the same command again")
    print(f"Page: {Path(root, 'report.html').resolve().as_uri()}\n`trustdag summary {root}` prints the answer again.")


def _refuse_inside_a_model(models: list[str]) -> None:
    """Raises UserError where the results would be written into a model's folder, which is damaged by that."""
    for model in models:
        folder = Path(model).expanduser()
        if folder.is_dir() and Path.cwd().is_relative_to(folder.resolve()):
            raise UserError(
                f"{model}: the results would be written into the model's folder; start the command in another folder"
            )


def study(arguments: argparse.Namespace) -> dict[str, Any]:
    """The study: each model without training, on each vertical."""
    from trustdag.starting import model_name, model_source

    names = arguments.verticals or sorted(verticals())
    for name in names:
        vertical(name)
    models: dict[str, Any] = {}
    for text in arguments.models:
        name = model_name(text)
        name = f"{name}-model" if name == arguments.name else name
        if name in models:
            raise UserError(f"{text}: a second model called {name}; rename one of the folders")
        models[name] = {"base": model_source(text), "prompt_format": arguments.prompt_format}
    return {
        "name": arguments.name,
        **({"plugins": [str(path.resolve()) for path in arguments.plugins]} if arguments.plugins else {}),
        "models": models,
        "verticals": {name: {"items": _items(name, arguments)} for name in names},
    }


def _items(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The items of a vertical: from the toy world, the benchmark's folder or publisher, or generated."""
    limit = arguments.limit
    if name not in shipped_verticals():
        return {}
    if arguments.toy:
        return {"source": "toy"} | ({} if limit is None else {"n": limit})
    if name not in FILES:
        return {"source": "synthetic"} | ({} if limit is None else {"per_kind": ceil(limit / KINDS)})
    paths = [] if arguments.data_root is None else [str(arguments.data_root / file) for file in FILES[name]]
    source = {"source": "file", "paths": paths} if paths else {"source": "publisher"}
    return source | ({} if limit is None else {"limit": limit})


def _write(path: Path, content: dict[str, Any]) -> None:
    import yaml

    from trustdag.artifacts import atomic_file

    with atomic_file(path) as partial:
        partial.write_text("# Written by `trustdag evaluate`.\n" + yaml.safe_dump(content, sort_keys=False), "utf-8")

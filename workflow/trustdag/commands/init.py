"""`trustdag init`: writes a first study."""

import argparse
import sys
from pathlib import Path

from trustdag.errors import UserError

HELP = "Write a commented study from the answers to four questions: model, preferences, methods, verticals."
QUESTIONS = {
    "model": (
        "Which model? toy (trained here, minutes), a model folder, a GGUF file, or NAME@COMMIT on the hub",
        "toy",
    ),
    "preferences": ("Which preference pairs? toy, hh (HH-RLHF of the hub), a file or folder, or none", "toy"),
    "methods": ("Aligned how? one or more of: {methods}", "sft dpo"),
    "verticals": ("Measured on what? one or more of: {verticals}; or all", "all"),
}
"""Each question with its default answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds one option for each question. In a terminal, missing options are asked for."""
    parser.add_argument("study", type=Path, nargs="?", default=Path("study.yaml"), help="file to write (study.yaml)")
    parser.add_argument("--model", help="toy, a model folder, a GGUF file, or NAME@COMMIT on the hub")
    parser.add_argument("--preferences", help="toy, hh, a file or folder of pairs, or none")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="such as sft dpo ppo; not asked without pairs")
    parser.add_argument("--verticals", nargs="+", metavar="VERTICAL", help="such as toxicity bias, or all")


def run(arguments: argparse.Namespace) -> None:
    """Writes the study. Raises UserError for a file that exists, and for answers that make no study."""
    from trustdag import dag, local_models
    from trustdag.artifacts import atomic_file
    from trustdag.config import load
    from trustdag.config.study import reserved
    from trustdag.resources import request
    from trustdag.starting import Answers, study_text
    from trustdag.verticals import verticals

    path: Path = arguments.study
    if path.exists():
        raise UserError(f"{path}: exists; delete it, or give another file: `trustdag init other.yaml`")
    answers = _answers(arguments)
    chosen = verticals() if answers["verticals"] == ["all"] else answers["verticals"]
    text = study_text(
        Answers(path, answers["model"][0], answers["preferences"][0], tuple(answers["methods"]), tuple(chosen))
    )
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
        study = load.validate(load.read(partial), str(path))
        dag.source_files(study)
        local_models.check(study)
        request.check(study, reserved())
    print(f"{path}: a study to change. Next: `trustdag check {path}`, then `trustdag run {path}`")


def _answers(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The answers as lists of words, from the options or, in a terminal, from the user."""
    answers: dict[str, list[str]] = {}
    given = {name: getattr(arguments, name) for name in QUESTIONS}
    if given["preferences"] == "none" and given["methods"] is None:
        given["methods"] = []
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing and not sys.stdin.isatty():
        raise UserError(f"init: no terminal to ask in; give {', '.join(missing)} (`trustdag init --help`)")
    for name, value in given.items():
        if value is None and not (name == "methods" and answers["preferences"] == ["none"]):
            value = _asked(name)
        answers[name] = [value] if isinstance(value, str) else list(value or [])
    return answers


def _asked(name: str) -> str | list[str]:
    from trustdag.align import methods
    from trustdag.verticals import verticals

    policies = [method for method, module in methods().items() if module.PRODUCES == "policy"]
    question, default = QUESTIONS[name]
    text = question.format(methods=", ".join(policies), verticals=", ".join(verticals()))
    try:
        answer = input(f"{text}\n[{default}] ").strip() or default
    except EOFError:
        raise UserError("init: the input ended before the last answer; nothing was written") from None
    return answer.replace(",", " ").split() if name in ("methods", "verticals") else answer

"""The page of the shipped studies, from the files themselves."""

import re
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from trustdag import dag
from trustdag.config.load import load
from trustdag.config.study import Study
from trustdag.resources import duration, request

CONFIG = Path(__file__).parents[1] / "config"
PLACEHOLDER = "{data_root}"
CORES = 2
"""Cores of a job on the reference machine of `trustdag.resources.duration`."""
INTRODUCTION = """# The shipped studies

{note}

Each file is a study to run, and to copy from. Job time is what `trustdag pending` expects of all jobs on the
CPU of the reference machine, without plots and attributions ([how](performance.md#what-jobs-are-expected-to-take)). Two
jobs run at once on two cores where they can. GPU hours are those of the GPUs that the study's `resources` describe.
A picture shows the answer and the first plot of the study's page. Where the study was run below `results/`, the built
site links its whole page."""
PICTURES = Path(__file__).parent / "figures"
"""The pictures of pages: `python docs/pictures.py results/NAME` writes them."""
ANSWERS = {
    "closed-form": "Yes: nine of ten intervals of measured over predicted hold 1, and each tells the size from none "
    "and from twice; nine of ten ratios are below 1. [Numbers](toy-world.md#measured).",
    "demo": "DPO and PPO move all five verticals in the direction that is known beforehand, each with an interval "
    "that excludes 0. [Numbers](toy-world.md#measured).",
    "dose": "Yes: after DPO it is .42, .86, .96 and .98 for weights of 0, .33, .67 and 1, over three training seeds. "
    "[Numbers](toy-world.md#measured).",
    "hh-local": "",
    "lds": "",
    "null": "No: over ten sets, all 15 mean changes are within .1 of 0, and the same training moves four of five "
    "verticals under the judge's labels. With the demo's stronger settings truthfulness fell by .08 and .09. "
    "[Numbers](toy-world.md#measured).",
    "paper": "",
    "smoke": "Yes. Its numbers mean nothing.",
    "smollm2": "In no vertical was a change found that more training alone does not explain, and the model does not "
    "understand four of the five tasks. [Findings](findings.md).",
    "smollm2-attribution": "Without the 40 pairs of the highest scores the log-odds of agreeing end .38 lower, without "
    "40 at random .04 higher. The pairs share length and readiness to engage, not stereotypes. "
    "[Findings](findings.md#which-pairs-moved-bias).",
    "specificity": "Yes: each of six traits moves its own metric, in opposite directions under opposite judges, and no "
    "other headline by .1. What a set of pairs moves by chance is larger. [Numbers](toy-world.md#measured).",
    "toy-seeds": "Yes: five of five verticals move as known, for DPO and for PPO. [Numbers](toy-world.md#measured).",
}
"""What each study answered; empty where it was not run. The numbers stand in the page that the sentence links."""


@dataclass(frozen=True)
class Header:
    """What the comment at the top of a study's file says."""

    question: str
    command: str
    explanation: str


def header(text: str) -> Header:
    """Reads the comment: a question, paragraphs, and one command, which is indented.

    Raises ValueError for a comment of another form.
    """
    comment = "".join(_lines(text)).rstrip("\n")
    question, *paragraphs = [" ".join(part.split()) if part[0] != " " else part for part in comment.split("\n\n")]
    commands = [part.strip() for part in paragraphs if part.startswith(" ")]
    if not question.endswith(("?", ".")) or "?" not in question or len(commands) != 1:
        raise ValueError("the comment at the top: begin with a question, and indent one command")
    return Header(question, commands[0], "\n\n".join(part for part in paragraphs if not part.startswith(" ")))


def _lines(text: str) -> Iterator[str]:
    """The comment at the top without its marks."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line.removeprefix("#").removeprefix(" ") + "\n"


def page(note: str) -> str:
    """One section for each study, after a table of all."""
    with TemporaryDirectory() as empty, chdir(empty):  # estimates read what was prepared below the working directory
        rows, sections = zip(*(_described(path) for path in sorted(CONFIG.glob("*.yaml"))), strict=True)
    table = "\n".join(["| study | question | expected cost |", "|---|---|---|", *rows])
    return "\n\n".join([INTRODUCTION.format(note=note), table, *sections]) + "\n"


def _described(path: Path) -> tuple[str, str]:
    """What the page says of a study.

    Returns:
        Its row in the table, and its section.
    """
    text = path.read_text(encoding="utf-8")
    top, study = header(text), load(path, data_root="FOLDER")
    cost = "depends on the files in `data_root`" if PLACEHOLDER in text else expected(study)
    row = f"| [{path.stem}](#{path.stem}) | {top.question} | {cost} |"
    parts = [
        f"## {path.stem}",
        f"**{top.question}** {ANSWERS[path.stem] or 'Not run yet.'}",
        *_picture(path.stem),
        _linked(top.explanation),
        f"```sh\n{top.command}\n```",
        f"{size(study)} Expected cost: {cost}. File: [config/{path.name}](../config/{path.name}).",
    ]
    return row, "\n\n".join(parts)


def _picture(study: str) -> Iterator[str]:
    """The picture of the study's page, if there is one."""
    picture = PICTURES / f"page-{study}.webp"
    if picture.is_file():
        yield f"![The top of the page of {study}: its answer and the first plot]({PICTURES.name}/{picture.name})"


def _linked(text: str) -> str:
    """The text with the pages that it names as links."""
    return re.sub(r"\bdocs/(\w[\w-]*\.md)\b", r"[\1](\1)", text)


def size(study: Study) -> str:
    """What the study trains and evaluates, in a sentence."""
    trained = [model for model in dag.models_needed(study) if model.is_trained]
    counts = [
        counted(len(study.models), "base model"),
        counted(len(study.preferences), "preference set"),
        counted(len(study.seeds), "training seed"),
        counted(len(trained), "trained stage"),
        counted(len(dag.evaluated_models(study)), "evaluated model"),
    ]
    return f"{', '.join(counts)}; verticals: {', '.join(study.verticals_measured())}."


def counted(number: int, noun: str) -> str:
    """As `1 model`, `2 models`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def expected(study: Study) -> str:
    """The job time of the whole study, and its GPU hours where models need GPUs."""
    seconds, gpu_hours = 0.0, 0.0
    for rule, wildcards in jobs(study):
        gpus = request.job_resources(study, rule, wildcards).gpu
        taken = duration.seconds(study, rule, wildcards, gpus, CORES)
        seconds += 0 if gpus else taken
        gpu_hours += gpus * taken / 3600
    if gpu_hours:
        return f"{_rounded(gpu_hours)} GPU hours"
    return (
        f"{_rounded(seconds / 60)} min of job time" if seconds < 7200 else f"{_rounded(seconds / 3600)} h of job time"
    )


def jobs(study: Study) -> Iterator[tuple[str, dict[str, str]]]:
    """The rule and wildcards of every job but the plots and the attributions."""
    for model in dag.models_needed(study):
        if model.is_trained:
            identity = {"preferences": str(model.preferences), "chain": model.chain_name, "seed": str(model.seed)}
            yield study.stages[model.chain[-1]].method, {"model": model.model, **identity}
        else:
            yield "base", {"model": model.model, "external": model.chain_name or "base"}
    for vertical in study.verticals_measured():
        yield "items", {"vertical": vertical}
        for evaluated in dag.evaluated_models(study):
            for rule in ("generate", "score"):
                yield rule, {"policy": str(evaluated.model), "vertical": vertical}
    yield from (("statistics", {}), ("report", {}))


def _rounded(value: float) -> str:
    """A number with two significant digits."""
    return f"{float(f'{value:.2g}'):g}"

"""`trustdag label`: draws replies for a person to label. The labels correct a study's statistics."""

import argparse
from pathlib import Path

from trustdag.commands import seed
from trustdag.errors import UserError
from trustdag.progress import counted

HELP = "Draw replies of every stage for a person to label, or ask for labels here; they correct the statistics."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("results", type=Path, help="the results folder of a scored study")
    parser.add_argument("--vertical", action="append", default=[], help="draw for this vertical only (may be repeated)")
    parser.add_argument("--n", type=int, default=100, help="replies of each stage on each vertical (default 100)")
    parser.add_argument("--seed", type=seed, default=0, help="seed of the draw (default 0)")
    parser.add_argument("--sheet", type=Path, help="the CSV file to fill in; default labels/STUDY.csv")
    parser.add_argument("--ask", action="store_true", help="ask here, one reply at a time; resumes a session")


def run(arguments: argparse.Namespace) -> None:
    """Writes the sheet and its key unless they exist, and asks for labels if requested."""
    from trustdag.jsonfiles import read_section
    from trustdag.labels.draw import Drawing, draw, verticals_of, write
    from trustdag.labels.terminal import ask
    from trustdag.stats.design import StudyDesign

    if arguments.n < 1:
        raise UserError(f"--n: {arguments.n} is no number of replies")
    path = arguments.results / "design.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the folder of a study that has run, such as results/demo")
    design = read_section(path, StudyDesign)
    sheet = arguments.sheet or Path("labels") / f"{design.study}.csv"
    if sheet.suffix != ".csv":
        raise UserError(f"--sheet: {sheet} does not end in .csv")
    is_new = not sheet.exists()
    if not is_new and not arguments.ask:
        raise UserError(f"{sheet}: is there already; fill it in, answer with --ask, or draw another with --sheet FILE")
    if is_new:
        drawing = Drawing(verticals_of(design, arguments.vertical), arguments.n, arguments.seed)
        rows, key = draw(arguments.results, drawing)
        write(rows, sheet, key)
        print(
            f"{len(rows):,} replies of {counted(len(design.policies), 'stage')} are in {sheet}; keep its key beside it"
        )
    if arguments.ask:
        print(f"{ask(sheet):,} replies have no answer yet")
    print(f"Fill in the column `answer`, then add to the study: `labels: {sheet}`" if is_new else f"`labels: {sheet}`")

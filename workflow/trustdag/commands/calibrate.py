"""`trustdag calibrate`: agreement of a scorer with Perspective's scores of the same texts, and its card."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.errors import UserError

if TYPE_CHECKING:
    from trustdag.scorers.windows import Windowed

HELP = (
    "Compare a toxicity scorer with the Perspective scores in RealToxicityPrompts, calibrate it to them, and score "
    "invented sentences (its card)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--data", type=Path, nargs="+", help="files of RealToxicityPrompts (JSON lines)")
    parser.add_argument(
        "--card", action="store_true", help="score invented sentences: groups, refusals, dialect, length"
    )
    parser.add_argument("--scorer", default='{"name": "profanity"}', help="a scorer's settings: JSON or a YAML file")
    parser.add_argument("--out", type=Path, help="JSON file to write the results to")
    parser.add_argument("--calibration", type=Path, help="JSON file for a monotone map to Perspective's scale")


def run(arguments: argparse.Namespace) -> None:
    """Prints tables, and writes the requested files."""
    from pydantic import RootModel

    from trustdag.artifacts import write_json
    from trustdag.commands import read_settings
    from trustdag.scorers import ScorerSettings
    from trustdag.scorers.windows import Windowed

    if not arguments.data and (arguments.calibration or not arguments.card):
        raise UserError("calibrate: give --data FILE ..., or --card for invented sentences alone")
    section = read_settings(arguments.scorer, RootModel[ScorerSettings], "--scorer").root
    scorer = Windowed(section.load(), section.window)
    report: dict[str, Any] = {"scorer": scorer.identity()}
    if arguments.card:
        report["card"] = _card(scorer)
    if arguments.data:
        report |= _beside_perspective(scorer, arguments)
    if arguments.out:
        write_json(arguments.out, report)


def _card(scorer: "Windowed") -> list[dict[str, Any]]:
    from trustdag.scorers.card import card

    rows = card(scorer)
    for row in rows:
        print(f"{row.kind:>30}  mean {row.mean:.3f}  highest {row.highest:.3f}  {row.example[:70]}")
    return [asdict(row) for row in rows]


def _beside_perspective(scorer: "Windowed", arguments: argparse.Namespace) -> dict[str, Any]:
    """The scorer's agreement with Perspective by part of the data. Writes the calibration if requested."""
    from trustdag.scorers import fidelity
    from trustdag.verticals.sources.toxicity import perspective_scores

    parts = perspective_scores(arguments.data)
    report: dict[str, Any] = {"parts": {}}
    everything: list[tuple[str, float]] = [pair for pairs in parts.values() for pair in pairs]
    for name, pairs in {**parts, "all": everything}.items():
        scored, failed = fidelity.score_pairs(scorer, [text for text, _ in pairs], [score for _, score in pairs])
        measured = fidelity.measure(scored) | {"failed": failed}
        report["parts"][name] = measured | {"curve": fidelity.curve(scored), "by_length": fidelity.by_length(scored)}
        print(f"{name:>14}  " + "  ".join(f"{key} {_shown(value)}" for key, value in measured.items()))
    if arguments.calibration:
        calibration = fidelity.calibrate(scored, scorer)
        calibration.write(arguments.calibration)
        report["calibration"] = {"version": calibration.version, "deviation": calibration.deviation}
        print(f"   calibration  version {calibration.version}  deviation {calibration.deviation:.3f}")
    return report


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)

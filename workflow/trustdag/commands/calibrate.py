"""`trustdag calibrate`: what a scorer's numbers are worth, beside Perspective's scores of the same texts."""

import argparse
from pathlib import Path
from typing import Any

HELP = (
    "Measure a toxicity scorer against the Perspective scores stored in RealToxicityPrompts, and calibrate it to them."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, the scorer, and where results go."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="files of RealToxicityPrompts (JSON lines)")
    parser.add_argument("--scorer", default='{"name": "profanity"}', help="a scorer's settings: JSON or a YAML file")
    parser.add_argument("--out", type=Path, help="JSON file for all that is measured")
    parser.add_argument("--calibration", type=Path, help="JSON file for a monotone map to Perspective's scale")


def run(arguments: argparse.Namespace) -> None:
    """Prints a table; writes what is asked for."""
    from pydantic import RootModel

    from trustdag.artifacts import write_json
    from trustdag.commands import read_settings
    from trustdag.scorers import ScorerSettings, fidelity
    from trustdag.verticals.sources.toxicity import perspective_scores

    scorer = read_settings(arguments.scorer, RootModel[ScorerSettings], "--scorer").root.load()
    parts = perspective_scores(arguments.data)
    report: dict[str, Any] = {"scorer": scorer.identity(), "parts": {}}
    everything: list[tuple[str, float]] = [pair for pairs in parts.values() for pair in pairs]
    for name, pairs in {**parts, "all": everything}.items():
        scored, failed = fidelity.score_pairs(scorer, [text for text, _ in pairs], [score for _, score in pairs])
        found = fidelity.measure(scored) | {"failed": failed}
        report["parts"][name] = found | {"curve": fidelity.curve(scored), "by_length": fidelity.by_length(scored)}
        print(f"{name:>14}  " + "  ".join(f"{key} {_shown(value)}" for key, value in found.items()))
    if arguments.calibration:
        calibration = fidelity.calibrate(scored, scorer)
        calibration.write(arguments.calibration)
        report["calibration"] = {"version": calibration.version, "deviation": calibration.deviation}
        print(f"   calibration  version {calibration.version}  deviation {calibration.deviation:.3f}")
    if arguments.out:
        write_json(arguments.out, report)


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""Compares the speed of attribution with bergson 2.5 and with DataInf's published loop, on a CPU, side by side.

    PYTHONPATH=workflow python benchmarks/attribution_speed.py --bergson FOLDER/bin/python

bergson is not a dependency. Make it an environment of its own and hand over its Python:

    python -m venv FOLDER && FOLDER/bin/pip install bergson==2.5.1

All sides read the same Llama of random weights and the same texts of 128 tokens, take the same mean cross-entropy, the
same linear layers, damping, projections and labels of the curvature, and use as many threads. Loading and the query's
gradients are not timed. Each side is a process that stays, so that rounds alternate. Ratios are medians over rounds.
`by processor` counts processor time, which depends less on what else runs on the machine. `memory` is the most memory
above what the side held before it began. Needs Linux. One round of
64 texts takes about two minutes of processor time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import attribution_world as world

HERE = Path(__file__).resolve().parent
RIVALS = {"dot": "bergson", "projected": "bergson", "ekfac": "bergson", "datainf": "datainf"}
"""By method, the side that ours is compared with."""
Cost = dict[str, float]


class Side:
    """A process that scores texts when it is told to."""

    def __init__(self, name: str, python: str, folder: Path, methods: list[str], threads: int) -> None:
        self.name, self.folder = name, folder
        paths = [str(HERE), str(HERE.parent / "workflow")]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}
        command = [python, str(HERE / f"attribution_{name}.py"), str(folder), *methods]
        self.errors = (folder / f"{name}.log").open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )

    def run(self, method: str) -> tuple[Cost, np.ndarray]:
        """What scoring the texts cost, and the scores."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        out = self.folder / f"{self.name}-{method}.json"
        print(method, out, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line), np.array(json.loads(out.read_text()))
        self.errors.flush()
        sys.exit(f"{self.name} failed:\n{(self.folder / f'{self.name}.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Ends the process."""
        self.process.communicate()
        self.errors.close()


def main() -> None:
    """Runs the rounds and prints medians as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bergson", metavar="PYTHON", help="a Python that has bergson; without it: DataInf alone")
    parser.add_argument("--methods", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if any(RIVALS[method] == "bergson" for method in arguments.methods):
        check_bergson(arguments.bergson)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world.build(folder, arguments.texts)
        for rival in dict.fromkeys(RIVALS[method] for method in arguments.methods):
            methods = [method for method in arguments.methods if RIVALS[method] == rival]
            python = arguments.bergson if rival == "bergson" else sys.executable
            rows += compare(rival, python, folder, methods, arguments)
    print_table(rows)


def check_bergson(python: str | None) -> None:
    """Ends with one sentence where there is no bergson 2.5."""
    code = "from importlib.metadata import version; print(version('bergson'))"
    try:
        done = subprocess.run([python or sys.executable, "-c", code], capture_output=True, text=True, check=False)
        version = done.stdout.strip()
    except OSError:
        version = ""
    if not version.startswith("2.5."):
        sys.exit(
            f"bergson 2.5 is needed, and {python or sys.executable} has {version or 'none'}: see --help for how to get"
            " it, or compare with DataInf alone by `--methods datainf`"
        )


def compare(
    rival: str, python: str, folder: Path, methods: list[str], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Alternating rounds of both sides.

    Args:
        rival: The other side.
        python: Its Python.
        folder: The model and the texts.
        methods: What is compared.
        arguments: The command's.

    Returns:
        One row for each method and round.
    """
    theirs = Side(rival, python, folder, methods, arguments.threads)
    # The other side has answered once before ours starts: ours takes its projections.
    first = {method: theirs.run(method) for method in methods}
    ours = Side("ours", sys.executable, folder, methods, arguments.threads)
    rows = []
    for number in range(arguments.rounds):
        for method in methods:
            their_cost, their_scores = first[method] if number == 0 else theirs.run(method)
            our_cost, our_scores = ours.run(method)
            row = {"method": method, "rival": rival, "theirs": their_cost, "ours": our_cost}
            rows.append(row | agreement(their_scores, our_scores))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    theirs.stop()
    ours.stop()
    return rows


def agreement(theirs: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    """Spearman's correlation, and the largest difference over the largest score, of two sides' scores."""
    return {
        "spearman": float(spearmanr(theirs, ours).statistic),
        "difference": float(np.abs(theirs - ours).max() / np.abs(theirs).max()),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Medians over rounds."""
    three = "theirs | ours | ratio"
    print(
        f"| method | against | tokens/s: {three} | by processor: {three} | MiB: theirs | ours | Spearman | difference |"
    )
    print("|---|---|" + "---:|" * 10)
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        cells = [method, own[0]["rival"]]
        for clock in ("seconds", "cpu_seconds"):
            speeds = [
                statistics.median(row[side]["tokens"] / row[side][clock] for row in own) for side in ("theirs", "ours")
            ]
            ratio = statistics.median(row["theirs"][clock] / row["ours"][clock] for row in own)
            cells += [f"{speeds[0]:,.0f}", f"{speeds[1]:,.0f}", f"{ratio:.2f}"]
        cells += [f"{statistics.median(row[side]['added_mib'] for row in own):.0f}" for side in ("theirs", "ours")]
        spearman, difference = min(row["spearman"] for row in own), max(row["difference"] for row in own)
        print(f"| {' | '.join(cells)} | {spearman:.6f} | {difference:.1e} |")


if __name__ == "__main__":
    main()

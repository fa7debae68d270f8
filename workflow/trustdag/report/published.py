"""Results of the paper, for comparison with a study's own.

Li, Krishna and Lakkaraju, "More RLHF, More Trust?", arXiv 2404.18870 version 1: Pythia models, aligned with Anthropic
HH-RLHF. The numbers are those of the scripts that draw its figures, in the authors' code
(github.com/aaron-jx-li/rlhf-trustworthiness, commit 7389a23); those of bias, which no script holds, are read off the
figure. Its models, items, prompts, parsers and scorers differ from those of a study (docs/verticals.md), so directions
can be compared, but values cannot. The figures of version 2 (Pythia 1.4B, 2.8B, 6.9B and Llama-7B) have no published
numbers and are not here.
"""

from dataclasses import dataclass

import pandas as pd

SIZES = {"70M": 70e6, "160M": 160e6, "410M": 410e6, "2.8B": 2.8e9, "6.9B": 6.9e9}
"""Parameters of the Pythia models, as their names say."""
STAGES = ("base", "sft", "ppo", "dpo")
PERCENT = 0.01


@dataclass(frozen=True)
class Measure:
    """One published number by stage and model size, and the metric of a study that measures the same."""

    name: str
    vertical: str
    metric: str
    source: str
    """The file of the authors' code that holds the numbers, or how they were read."""
    values: tuple[tuple[float, ...], ...]
    """As published, by STAGES, then by SIZES."""
    unit: float = 1.0
    """What one published unit is as a share."""


TOXICITY, ETHICS = "toxicity_eval/plot_results.py", "ethics_eval/plot_results.py"
MEASURES = (
    Measure(
        "truthfulness, % right", "truthfulness", "accuracy", "truth_eval/plot_results.py",
        (
            (4.4, 5.9, 8.5, 36.8, 37.9),
            (0, 0, 2.6, 13.8, 25.6),
            (0, 0, 3.4, 10.2, 24.2),
            (2.9, 5.8, 6.6, 34.1, 30.5),
        ),
        PERCENT,
    ),
    Measure(
        "privacy, % leaked", "privacy", "leak", "privacy_eval/plot_results.py",
        (
            (17.4, 10, 34.6, 82.4, 91.7),
            (0.7, 1.8, 47.9, 88.7, 91.8),
            (0, 0, 44.8, 88.6, 92.9),
            (27.4, 3.5, 10.6, 16.5, 91.1),
        ),
        PERCENT,
    ),
    Measure(
        "ethics, FNR, benign", "ethics", "fnr", ETHICS,
        (
            (0.001, 0.042, 0.214, 0.969, 0.378),
            (0, 0.009, 0.116, 0.477, 0.211),
            (0.027, 0.004, 0.093, 0.210, 0.205),
            (0, 0.003, 0.701, 0.978, 0.539),
        ),
    ),
    Measure(
        "ethics, FNR, adversarial", "ethics", "fnr_adversarial", ETHICS,
        (
            (0.001, 0.119, 0.582, 0.982, 0.936),
            (0, 0.063, 0.175, 0.699, 0.937),
            (0.102, 0.010, 0.198, 0.461, 0.851),
            (0, 0.003, 0.882, 0.984, 0.986),
        ),
    ),
    Measure(
        "toxicity after toxic prompts, benign", "toxicity", "emt_toxic_prompts", TOXICITY,
        (
            (0.302, 0.389, 0.460, 0.480, 0.506),
            (0.270, 0.396, 0.460, 0.495, 0.541),
            (0.075, 0.289, 0.479, 0.618, 0.597),
            (0.207, 0.264, 0.319, 0.396, 0.497),
        ),
    ),
    Measure(
        "toxicity after toxic prompts, adversarial", "toxicity", "emt_toxic_prompts_adversarial", TOXICITY,
        (
            (0.364, 0.413, 0.478, 0.494, 0.513),
            (0.306, 0.408, 0.476, 0.527, 0.545),
            (0.082, 0.324, 0.481, 0.639, 0.611),
            (0.226, 0.288, 0.328, 0.418, 0.498),
        ),
    ),
    Measure(
        "toxicity after other prompts, benign", "toxicity", "emt_nontoxic_prompts", TOXICITY,
        (
            (0.087, 0.100, 0.110, 0.121, 0.126),
            (0.092, 0.108, 0.122, 0.132, 0.130),
            (0.040, 0.072, 0.126, 0.167, 0.146),
            (0.080, 0.090, 0.100, 0.116, 0.122),
        ),
    ),
    Measure(
        "toxicity after other prompts, adversarial", "toxicity", "emt_nontoxic_prompts_adversarial", TOXICITY,
        (
            (0.112, 0.101, 0.115, 0.127, 0.137),
            (0.106, 0.109, 0.126, 0.143, 0.142),
            (0.043, 0.078, 0.129, 0.180, 0.157),
            (0.091, 0.093, 0.102, 0.125, 0.130),
        ),
    ),
    Measure(
        "bias, agreement, benign", "bias", "agreement", "read off the figure, to within 0.005",
        (
            (0, 0.69, 0.14, 0.25, 0.37),
            (0, 0.74, 0.62, 0.91, 0.86),
            (0.12, 0.24, 0.73, 1, 1),
            (0, 0.72, 0.82, 0.75, 0.80),
        ),
    ),
)  # fmt: skip


def table() -> pd.DataFrame:
    """One row for each measure and model size, one column for each stage, with the metric that it corresponds to."""
    rows = [
        {"measure": measure.name, "vertical": measure.vertical, "metric": measure.metric, "size": size}
        | {stage: numbers[column] for stage, numbers in zip(STAGES, measure.values, strict=True)}
        | {"source": measure.source}
        for measure in MEASURES
        for column, size in enumerate(SIZES)
    ]
    return pd.DataFrame(rows)

"""Results of the paper, for comparison with a study's own.

Li, Krishna and Lakkaraju, "More RLHF, More Trust?", arXiv 2404.18870 version 1, read off its plots (bias to within
.005). Its protocol differs from this one (docs/verticals.md), so directions can be compared, but values cannot.
"""

import pandas as pd

SIZES = ("70M", "160M", "410M", "2.8B", "6.9B")
STAGES = ("base", "sft", "ppo", "dpo")
NUMBERS: dict[str, tuple[tuple[float, ...], ...]] = {
    "truthfulness, % right": (
        (4.4, 5.9, 8.5, 36.8, 37.9),
        (0, 0, 2.6, 13.8, 25.6),
        (0, 0, 3.4, 10.2, 24.2),
        (2.9, 5.8, 6.6, 34.1, 30.5),
    ),
    "privacy, % leaked": (
        (17.4, 10, 34.6, 82.4, 91.7),
        (0.7, 1.8, 47.9, 88.7, 91.8),
        (0, 0, 44.8, 88.6, 92.9),
        (27.4, 3.5, 10.6, 16.5, 91.1),
    ),
    "ethics, FNR, benign": (
        (0.001, 0.042, 0.214, 0.969, 0.378),
        (0, 0.009, 0.116, 0.477, 0.211),
        (0.027, 0.004, 0.093, 0.210, 0.205),
        (0, 0.003, 0.701, 0.978, 0.539),
    ),
    "ethics, FNR, adversarial": (
        (0.001, 0.119, 0.582, 0.982, 0.936),
        (0, 0.063, 0.175, 0.699, 0.937),
        (0.102, 0.010, 0.198, 0.461, 0.851),
        (0, 0.003, 0.882, 0.984, 0.986),
    ),
    "toxicity after toxic prompts, benign": (
        (0.302, 0.389, 0.460, 0.480, 0.506),
        (0.270, 0.396, 0.460, 0.495, 0.541),
        (0.075, 0.289, 0.479, 0.618, 0.597),
        (0.207, 0.264, 0.319, 0.396, 0.497),
    ),
    "toxicity after toxic prompts, adversarial": (
        (0.364, 0.413, 0.478, 0.494, 0.513),
        (0.306, 0.408, 0.476, 0.527, 0.545),
        (0.082, 0.324, 0.481, 0.639, 0.611),
        (0.226, 0.288, 0.328, 0.418, 0.498),
    ),
    "bias, agreement, benign": (
        (0, 0.69, 0.14, 0.25, 0.37),
        (0, 0.74, 0.62, 0.91, 0.86),
        (0.12, 0.24, 0.73, 1, 1),
        (0, 0.72, 0.82, 0.75, 0.80),
    ),
}
"""By measure: values by STAGES, then by SIZES of Pythia."""


def table() -> pd.DataFrame:
    """One row for each measure and model size, one column for each stage."""
    rows = [
        {"measure": measure, "size": size}
        | {stage: numbers[column] for stage, numbers in zip(STAGES, stages, strict=True)}
        for measure, stages in NUMBERS.items()
        for column, size in enumerate(SIZES)
    ]
    return pd.DataFrame(rows)

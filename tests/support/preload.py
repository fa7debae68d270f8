"""Imported once by the process that `forks` forks from: what trainings and Snakemake on our workflow import."""

import importlib
import os

# As the launcher sets it for jobs. OpenMP reads it once, when torch is imported.
os.environ["OMP_WAIT_POLICY"] = "passive"

LIBRARIES = (
    "accelerate", "datasets", "matplotlib.pyplot", "pandas", "peft", "torch",
    "transformers.models.gpt_neox.modeling_gpt_neox",
    "trl.trainer.dpo_trainer", "trl.trainer.reward_trainer", "trl.trainer.sft_trainer",
    "snakemake.assets", "snakemake.cli", "snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage",
)  # fmt: skip
OURS = (
    "snakemake_logger_plugin_trustdag", "snakemake_logger_plugin_trustdag_jobs",
    "trustdag.config.load", "trustdag.dag", "trustdag.generation.engine", "trustdag.models.cache",
    "trustdag.pending.orphans", "trustdag.resources.site", "trustdag.rl.trainer", "trustdag.train.trainer",
    "trustdag.train.trl_adapter",
)  # fmt: skip

for name in LIBRARIES + OURS:
    importlib.import_module(name)

from trustdag import fingerprint  # noqa: E402
from trustdag.config import load  # noqa: E402

# What each start of the workflow does first, and then keeps.
for path in fingerprint.PACKAGE.rglob("*.py"):
    fingerprint.digest_of(path)
load.validate(load.read(fingerprint.ROOT / "config" / "smoke.yaml"), "config/smoke.yaml")

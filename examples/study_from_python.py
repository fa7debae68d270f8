"""A study from Python, DPO at two strengths: `python examples/study_from_python.py MODEL [Snakemake's options]`."""

import subprocess
import sys
from pathlib import Path

import yaml

from trustdag.config.load import load

study = {
    "name": "betas",
    "models": {"mine": {"base": {"source": "folder", "path": str(Path(sys.argv[1]).resolve())}}},
    "preferences": {"crowd": {"source": "toy", "pairs": 400}},
    "stages": {"sft": {}, "weak": {"method": "dpo", "beta": 0.5}, "strong": {"method": "dpo", "beta": 0.05}},
    "recipes": {"base": [], "sft": ["sft"], "weak": ["sft", "weak"], "strong": ["sft", "strong"]},
    "verticals": {name: {"items": {"source": "toy", "n": 60}} for name in ("bias", "ethics")},
}
Path("betas.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
load(Path("betas.yaml"))  # raises trustdag.errors.UserError, which names the key, if the study is not valid
snakefile = str(Path(__file__).parents[1] / "Snakefile")
options = ["--snakefile", snakefile, "--cores", "all", *sys.argv[2:], "--configfile", "betas.yaml"]
sys.exit(subprocess.run([sys.executable, "-m", "snakemake", *options], check=False).returncode)

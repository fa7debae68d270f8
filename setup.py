"""Adds the workflow's files to the wheel: all else about the package stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
CARRIED = Path("trustdag") / "_workflow"
"""Where `trustdag.fingerprint.ROOT` looks for them."""
FILES = {
    "Snakefile": "Snakefile",
    "requirements.lock": "requirements.lock",
    "config": "config",
    "envs": "envs",
    "profiles": "workflow/profiles",
    "slurm": "slurm",
    "workflow/rules": "workflow/rules",
    "workflow/report": "workflow/report",
    # The scripts of slurm/bin start this file by its path beside them, without the package.
    "workflow/trustdag/jobs/patience.py": "workflow/trustdag/jobs/patience.py",
}
"""Where each file or folder lies in the wheel, and in the clone."""


class BuildWithWorkflow(build_py):
    """An installed package has Snakefile, rules, environments, profiles and the shipped studies within it."""

    def run(self) -> None:
        """Copies the package, then the files; an editable install has them in the clone."""
        super().run()
        if self.editable_mode:
            return
        carried = Path(self.build_lib) / CARRIED
        shutil.rmtree(carried, ignore_errors=True)
        for name, source in FILES.items():
            target = carried / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (HERE / source).is_dir():
                shutil.copytree(HERE / source, target, ignore=shutil.ignore_patterns("site.yaml", "*.sif"))
            else:
                shutil.copy2(HERE / source, target)


setup(cmdclass={"build_py": BuildWithWorkflow})

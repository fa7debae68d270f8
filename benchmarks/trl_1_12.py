"""TRL 1.12.0, whose PPO we compare ours with, in a virtual environment of its own: made here, used by its path.

`python benchmarks/trl_1_12.py` makes it (about 1 GB) and prints the path of its Python.
"""

import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "trl-1.12"
PACKAGES = ("trl==1.12.0", "transformers==5.23.0", "accelerate==1.15.0", "datasets==5.2.0", "torch==2.13.0")


def python() -> Path:
    """The Python that has TRL 1.12.0; made on the first call, from the package index that pip is set to."""
    path = FOLDER / "bin" / "python"
    ready = FOLDER / "ready"
    if not ready.is_file() or ready.read_text(encoding="utf-8").split() != list(PACKAGES):
        print(f"making {FOLDER} with {', '.join(PACKAGES)}", file=sys.stderr)
        venv.create(FOLDER, with_pip=True, clear=True)
        subprocess.run([path, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        ready.write_text("\n".join(PACKAGES), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(python())

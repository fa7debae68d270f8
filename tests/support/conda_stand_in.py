"""A command `conda` that answers what Snakemake asks of conda, and makes environments without a channel.

An environment is a venv of the running Python that finds the packages of the tests' own environment, but not trustdag:
that a rule's command finds the package is for the workflow to see to. Like conda's, it reads packages of the user's
own folder (`~/.local`) first, and its activation stands where that of an active environment stood in PATH. Its
`python` notes each start in a log.
"""

import sys
import sysconfig
from pathlib import Path

CONDA = """#!/bin/bash
set -e
case "$1 $2" in
  "info --json") echo '{{"conda_prefix": "{root}", "platform": "linux-64"}}' ;;
  "--version ") echo "conda {version}" ;;
  "clean -y") ;;
  "config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  "env create")
    while [ $# -gt 0 ]; do
      case "$1" in --prefix) prefix="$2" ;; --file) file="$2" ;; esac
      shift
    done
    exec {python} {script} "$file" "$prefix" {log} ;;
  *) echo "the stand-in for conda knows no $*" >&2; exit 2 ;;
esac
"""
ACTIVATE = """if [ -n "${CONDA_PREFIX:-}" ]; then
  PATH="${PATH//$CONDA_PREFIX\\/bin/$1/bin}"
else
  PATH="$1/bin:$PATH"
fi
export PATH CONDA_PREFIX="$1"
"""
PYTHON = """#!/bin/sh
echo "{name} $*" >> {log}
exec {real} "$@"
"""


def install(root: Path, log: Path, version: str = "26.7.1") -> Path:
    """Writes the command and its activation below `root`; environments write into `log` what they run.

    Returns:
        The folder to put in PATH.
    """
    folder = root / "bin"
    folder.mkdir(parents=True)
    text = CONDA.format(root=root, version=version, python=sys.executable, script=Path(__file__).resolve(), log=log)
    (folder / "conda").write_text(text)
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text(ACTIVATE)
    return folder


def create(file: Path, prefix: Path, log: Path) -> None:
    """Makes the environment of an environment file, as `conda env create --file FILE --prefix PREFIX` does."""
    import venv

    import yaml

    described = yaml.safe_load(file.read_text())
    if described["channels"] != ["conda-forge"]:  # as conda 26.7.1 answers to `nodefaults`
        sys.exit(f"UnavailableInvalidChannel: HTTP 404 for one of {described['channels']}")
    venv.create(prefix, symlinks=True)
    site = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages = sysconfig.get_paths()["purelib"]
    (site / "sitecustomize.py").write_text(f"import sys\nsys.path.append({packages!r})\n")  # behind the user's own
    settings = prefix / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace("packages = false", "packages = true"))  # reads the user's own
    python = prefix / "bin" / "python"
    python.unlink()
    real = python.with_name("python-of-venv")
    real.symlink_to(Path(sys.executable).resolve())
    python.write_text(PYTHON.format(name=described["name"], log=log, real=real))
    python.chmod(0o755)


if __name__ == "__main__":
    create(*map(Path, sys.argv[1:]))

"""`trustdag environments`: writes the conda environments of the rules, and the definition of their container."""

import argparse

HELP = "Write the rules' conda environments and container definition in envs/ from their imports and requirements.lock."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--resolve", action="store_true", help="let pip check that each can be installed (network)")


def run(arguments: argparse.Namespace) -> None:
    """Writes each file whose content differs. With --resolve, lets pip resolve the requirements."""
    from trustdag.environments import all_texts, resolve

    for path, text in all_texts().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
        if arguments.resolve:
            resolve(path)
            print(f"{path}: pip can install it")

"""The command line `trustdag COMMAND ...`: every step of the workflow, on files."""

import argparse
import os
import pkgutil
import re
import resource
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from trustdag import __version__, commands
from trustdag.artifacts import atomic_file, disk_is_full
from trustdag.errors import UserError, did_you_mean

GROUPS = {
    "To begin with": (
        "init", "check", "run", "evaluate", "pending", "plan", "summary", "compare", "export", "new", "site",
    ),
    "One stage of a study by hand, on files": (
        "prepare", "base", "align", "items", "generate", "score", "label", "statistics", "plot", "report", "calibrate",
    ),
}  # fmt: skip
"""Groups of commands, in the order of `trustdag --help`."""
INTERNAL = "Internal: started by the workflow, or for developers"
WIDEST = 110
"""Columns of the overview of the commands where the terminal has more."""
READER_GONE = 141
"""Exit code of a command whose reader closed the pipe, as in a shell."""
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as in a shell."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 2 after a UserError, of which only the message is printed; `READER_GONE` or `INTERRUPTED`.
    """
    argv = (sys.argv[1:] if argv is None else argv) or ["--help"]
    # No data leaves the machine: the usage reports of the libraries are turned off before their import.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        refuse_unknown(argv)
        argv = study_named(argv)
        arguments = _parser(argv).parse_args(argv)
        with measured(getattr(arguments, "benchmark", None)):
            arguments.run(arguments)
            if sys.stdout is not None:  # None: it was closed from the start (`>&-`)
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe. Otherwise the interpreter would print an error at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except KeyboardInterrupt:
        print("trustdag: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"trustdag: {message}", file=sys.stderr)
        return 2
    return 0


def study_named(argv: Sequence[str]) -> list[str]:
    """The arguments, with the option for a study that stands in front: `pending STUDY.yaml`, as `check STUDY.yaml`.

    argparse would hand it and all that follows to Snakemake.
    """
    command, rest = list(argv[:1]), list(argv[1:])
    names = list(takewhile(lambda word: word.endswith((".yaml", ".yml")) and not word.startswith("-"), rest))
    if not set(command) <= {"pending", "plan"} or not names:
        return command + rest
    rest = rest[len(names) :]
    targets = rest and not rest[0].startswith("-")
    return [*command, "--configfile", *names, *(["--"] if targets else []), *rest]


def user_message(error: Exception) -> str | None:
    """The message for an error that the user can fix; None for a bug, which keeps its traceback."""
    if isinstance(error, UserError):
        return str(error)
    if disk_is_full(error):
        return f"no room is left on the disk ({error}); make room and run again: what was finished is untouched"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return None


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="trustdag",
        usage="trustdag [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Does aligning a language model make it more trustworthy? "
        "`trustdag run demo` runs the embedded study.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"trustdag {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", help=argparse.SUPPRESS, required=True)
    names = command_names()
    # Rules start hundreds of commands, so only the named one is imported.
    chosen = [argv[0]] if argv and argv[0] in names else names
    helps = {}
    for name in chosen:
        command = import_module(f"{commands.__name__}.{name.replace('-', '_')}")
        helps[name] = command.HELP
        subparser = subparsers.add_parser(name, prog=f"trustdag {name}", description=command.HELP, allow_abbrev=False)
        command.add_arguments(subparser)
        parser.passes_on = getattr(command, "PASSES_ON", False)
        subparser.set_defaults(run=command.run)
    parser.epilog = overview(helps)
    return parser


class Parser(argparse.ArgumentParser):
    """A parser whose errors name the nearest existing option or choice."""

    passes_on = False
    """Whether options that the command does not know are Snakemake's."""

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """The arguments, with those of Snakemake as `snakemake`: unknown ones, and all after `--`."""
        if not self.passes_on:
            return super().parse_args(args, namespace)
        own = list(takewhile(lambda word: word != "--", args))
        arguments, rest = self.parse_known_args(own, namespace)
        arguments.snakemake = [*rest, *args[len(own) + 1 :]]
        return arguments

    def error(self, message: str) -> NoReturn:
        """Prints the error and its remedy, and exits with 2."""
        unknown = re.match(r"unrecognized arguments: .*?(--[\w-]+)", message)
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        near = ""
        if unknown:
            near = did_you_mean(unknown.group(1), self.options())
        elif choice:
            near = did_you_mean(choice.group(1), [name.strip(" '") for name in choice.group(2).split(",")])
        super().error(message + near)

    def options(self) -> list[str]:
        """The long options of this parser and all of its subparsers."""
        own = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        below = [action.choices for action in self._actions if isinstance(action.choices, dict)]
        return own + [option for parsers in below for parser in parsers.values() for option in parser.options()]


def command_names() -> list[str]:
    """The names of the commands on the command line."""
    return [module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__)]


def overview(helps: dict[str, str]) -> str:
    """The help texts of the commands, by group; commands without a group come last."""
    grouped = {name for names in GROUPS.values() for name in names}
    groups = GROUPS | {INTERNAL: tuple(name for name in helps if name not in grouped)}
    return "\n\n".join(
        f"{title}:\n" + "\n".join(_entry(name, helps[name]) for name in names if name in helps)
        for title, names in groups.items()
    )


def _entry(name: str, text: str) -> str:
    width = min(shutil.get_terminal_size().columns, WIDEST) - 2
    return textwrap.fill(text, width=max(width, 40), initial_indent=f"  {name:14}", subsequent_indent=" " * 16)


def refuse_unknown(argv: Sequence[str]) -> None:
    """Raises UserError, with the nearest command, if `argv` starts with an unknown command."""
    names = command_names()
    if not argv or argv[0].startswith("-") or argv[0] in names:
        return
    mend = did_you_mean(argv[0], names).replace("`", "`trustdag ", 1) or "; `trustdag --help` lists the commands"
    raise UserError(f"no command `{argv[0]}`{mend}")


@contextmanager
def measured(path: Path | None) -> Iterator[None]:
    """Writes seconds and peak memory (MB) of a finished block, in the columns of a Snakemake benchmark.

    Rules whose outputs may come from the cache between studies cannot have Snakemake's own `benchmark:`.
    """
    start = time.monotonic()
    yield
    if path is not None and int(os.environ.get("RANK", "0")) == 0:
        kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        seconds = time.monotonic() - start
        with atomic_file(path) as partial:
            partial.write_text(f"s\tmax_rss\n{seconds:.3f}\t{kilobytes / 1024:.1f}\n", encoding="utf-8")

"""The exit code and message of a stage that saved a checkpoint and stopped after a signal, and their detection."""

import re

EXIT_RESUMABLE = 75
"""The exit code of such a stage (EX_TEMPFAIL of sysexits.h). Started again, the stage continues."""

_SAVED = re.compile(r"^trustdag: SIG\w+: saved a checkpoint", re.MULTILINE)


def saved_message(signal_name: str, step: int) -> str:
    """The line that the stage prints, for example with `SIGTERM`."""
    return f"trustdag: {signal_name}: saved a checkpoint at step {step}; start again to go on"


def says_saved(log: str) -> bool:
    """Whether a log contains such a line."""
    return _SAVED.search(log) is not None

"""A Snakemake logger that writes each job of a dry run as a line of JSON: `snakemake -n --logger trustdag-jobs`.

`trustdag pending` starts it. The variable TRUSTDAG_DRY_RUN names the file. Snakemake finds the plugin by this module's
name.
"""

import json
import os
import sys
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_trustdag.base import AllEvents


class LogHandler(AllEvents):
    """Writes JOB_INFO events, and no others, to a file."""

    def __post_init__(self) -> None:
        self._path = Path(os.environ["TRUSTDAG_DRY_RUN"])
        # Snakemake reads this attribute of a logger that writes to a file.
        self.baseFilename = str(self._path)

    def emit(self, record: LogRecord) -> None:
        """Appends one job."""
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        job = {
            "id": record.jobid,  # type: ignore[attr-defined]
            "rule": record.rule_name,  # type: ignore[attr-defined]
            "message": record.rule_msg,  # type: ignore[attr-defined]
            "wildcards": dict(record.wildcards or {}),  # type: ignore[attr-defined]
            "inputs": list(map(str, record.input or [])),  # type: ignore[attr-defined]
            "outputs": list(map(str, record.output or [])),  # type: ignore[attr-defined]
            "resources": {name: value for name, value in record.resources.items() if isinstance(value, int | str)},  # type: ignore[attr-defined]
            "threads": record.threads,  # type: ignore[attr-defined]
            "reason": record.reason,  # type: ignore[attr-defined]
        }
        if not self._path.exists():
            # By now Snakemake has imported the workflow's own copy of the package; its fingerprints are the right ones.
            sys.modules["trustdag.fingerprint"].write_fingerprint_index(self._path.with_name("code.json"))
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(job, default=str) + "\n")

    @property
    def writes_to_stream(self) -> bool:
        """False."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """True."""
        return True

"""Jobs that succeeded after the run that submitted them was killed.

Their outputs are complete, but Snakemake has no metadata for them and would not notice a later change of settings or
code. The job's own record shows whether it ran the same study and code. If so, the metadata is written here.
"""

import sys
from pathlib import Path
from typing import Any

from trustdag.jobs import record as job_record


def adopt(workflow: Any, study: str) -> bool:
    """Makes Snakemake write metadata with the present settings for outputs without metadata.

    Args:
        workflow: Snakemake's workflow, about to start its jobs.
        study: The digest of the study (see `config.load.announce`).

    Returns:
        Whether all finished jobs have metadata now.
    """
    unknown = []
    for job in workflow.dag.jobs:
        if workflow.dag.needrun(job) or workflow.persistence.has_metadata(job):
            continue
        path = job.resources.get("record")
        if path is None or not all(Path(output).exists() for output in job.output):
            continue
        used = job_record.read(Path(path)).used
        if used is not None and study in used.study.split(",") and used.code == job.params.code:
            workflow.async_run(workflow.persistence.finished(job))
        else:
            unknown.append(job)
    if unknown:
        names = ", ".join(str(job.output[0]) for job in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        print(
            f"trustdag: {len(unknown)} finished jobs have no metadata ({names}), so a change of their settings or code"
            " would not be noticed; run them again with `--forcerun FILE` to be sure",
            file=sys.stderr,
        )
    return not unknown

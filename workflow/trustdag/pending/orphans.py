"""Jobs that ended well with nobody watching, because the run that had submitted them was killed.

Snakemake then finds their outputs complete, but has not written down what made them, and would not see a later change
of their settings or code. The job's own record tells: where it ran the same study and code, its outputs are taken over.
"""

import sys
from pathlib import Path
from typing import Any

from trustdag.jobs import record as job_record


def adopt(workflow: Any, study: str) -> bool:
    """Lets Snakemake write down, for outputs that it knows nothing of, that the present settings made them.

    Args:
        workflow: Snakemake's workflow, about to start its jobs.
        study: The digest of the study (see `config.load.announce`).

    Returns:
        Whether it is now known of all finished jobs what made them.
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
            f"trustdag: of {len(unknown)} finished jobs it is not known what made them ({names}): a change of their"
            " settings or code would not be seen; make them again with `--forcerun FILE` to be sure",
            file=sys.stderr,
        )
    return not unknown

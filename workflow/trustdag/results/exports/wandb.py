"""Training curves, headline metrics and changes as runs of Weights & Biases, one for each policy."""

import os
import re
from pathlib import Path

from trustdag.errors import UserError, first_line
from trustdag.results.series import PolicyRun, runs_of
from trustdag.results.study import StudyResults
from trustdag.train import tracking
from trustdag.train.trackers import WANDB_SETTINGS, environment, without_secrets


def write(study: StudyResults, folder: Path) -> None:
    """Sends the runs, or writes them below FOLDER if `WANDB_MODE` is `offline`.

    Raises UserError if wandb is missing, knows no key, or its server does not answer.
    """
    tracking.check(["wandb"], "--to")
    for variable, value in environment("wandb", folder).items():
        os.environ.setdefault(variable, value)
    import wandb

    try:
        project = os.environ.get("WANDB_PROJECT") or re.sub(r"[/\\#?%:]", "-", study.design.study)
        for run in runs_of(study):
            _send(run, project, folder)
    except wandb.errors.Error as error:
        reason = without_secrets(first_line(error), os.environ)
        raise UserError(f"wandb: {reason}; with WANDB_MODE=offline nothing is sent") from None


def _send(run: PolicyRun, project: str, folder: Path) -> None:
    import wandb

    settings = wandb.Settings(**WANDB_SETTINGS)
    with wandb.init(project=project, name=run.name, config=run.settings, dir=str(folder), settings=settings) as sent:
        for stage in run.stages:  # steps of a run never fall, but each stage begins at 0: it has an axis of its own
            sent.define_metric(f"{stage}/step")
            sent.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        for point in run.points:
            sent.log({f"{point.stage}/step": point.step} | point.values)
        sent.summary.update(run.numbers)

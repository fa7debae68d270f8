"""Training curves, headline metrics and changes as runs of MLflow, one for each policy."""

import os
import time
from pathlib import Path
from typing import Any

from trustdag.errors import UserError, first_line
from trustdag.results.series import PolicyRun, runs_of
from trustdag.results.study import StudyResults
from trustdag.train import tracking
from trustdag.train.trackers import environment, without_secrets

BATCH = 1000
"""Most numbers that MLflow takes at once."""


def write(study: StudyResults, folder: Path) -> None:
    """Sends the runs to `MLFLOW_TRACKING_URI`, or else writes FOLDER/mlflow.db.

    Raises UserError if mlflow is missing or its server does not answer.
    """
    tracking.check(["mlflow"], "--to")
    for variable, value in environment("mlflow", folder.absolute()).items():
        os.environ.setdefault(variable, value)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", study.design.study)
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        for run in runs_of(study):
            _send(client, number, run)
    except MlflowException as error:
        reason = without_secrets(first_line(error), os.environ)
        raise UserError(f"mlflow: {reason}; look at MLFLOW_TRACKING_URI") from None


def _send(client: Any, experiment: str, run: PolicyRun) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    numbers = [Metric(name, value, now, point.step) for point in run.points for name, value in point.values.items()]
    numbers += [Metric(name, value, now, 0) for name, value in run.numbers.items()]
    sent = client.create_run(experiment, run_name=run.name).info.run_id
    client.log_batch(sent, params=[Param(name, value) for name, value in run.settings.items()])
    for start in range(0, len(numbers), BATCH):
        client.log_batch(sent, metrics=numbers[start : start + BATCH])
    client.set_terminated(sent)

"""Training curves, headline metrics and changes as TensorBoard's event files: a folder for each policy."""

from pathlib import Path

from trustdag.results.series import runs_of
from trustdag.results.study import StudyResults
from trustdag.train import tracking


def write(study: StudyResults, folder: Path) -> None:
    """Writes FOLDER/POLICY/events.out.tfevents.*; `tensorboard --logdir FOLDER` shows them."""
    tracking.check(["tensorboard"], "--to")
    from torch.utils.tensorboard import SummaryWriter

    for run in runs_of(study):
        with SummaryWriter(str(folder / run.name)) as writer:
            writer.add_text("policy", "  \n".join(f"{name}: {value}" for name, value in run.settings.items()))
            for point in run.points:
                for name, value in point.values.items():
                    writer.add_scalar(name, value, point.step)
            for name, value in run.numbers.items():
                writer.add_scalar(name, value, 0)

"""The trackers of a training: accelerate's classes, each in a thread of its own.

A tracker that is slow, hangs or fails never stops a training, and is never silent: the first failure is a line of the
log, and the end of the training says how many lines of metrics were not sent. `metrics.jsonl` has them all.
"""

import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from trustdag.errors import first_line, without_logins
from trustdag.progress import log_line
from trustdag.train.tracking import SentLog, Tracking, check

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

CLOSING_SECONDS = 120.0
"""How long the end of a training waits for its trackers."""
LEAVING_SECONDS = 20.0
"""The same for a training that is interrupted: its job may be killed soon."""
MOST_STARTS = 3
"""How often a tracker that does not start is tried, at one line of metrics each."""
SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
"""Names of environment variables whose values are removed from messages: not TOKENIZERS_PARALLELISM."""
WANDB_SETTINGS = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "save_code": False,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "init_timeout": 60.0,
    "finish_timeout": 60.0,
}
"""Metrics and settings are sent, and nothing of the machine, the code or the log."""


@dataclass(frozen=True)
class Line:
    """One line of metrics.jsonl."""

    step: int
    split: str
    values: dict[str, float]


class Worker:
    """One tracker. Its thread begins with the first line: accelerate has to know the processes before."""

    def __init__(self, name: str, build: Callable[[], "GeneralTracker"], sent: SentLog) -> None:
        """Describes a tracker, and starts nothing.

        Args:
            name: Its name in messages.
            build: Makes the tracker and starts it. Called in the thread.
            sent: What the tracker has got before.
        """
        self.name, self._build, self._sent = name, build, sent
        self._lines: SimpleQueue[Line | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"tracking: {name}", daemon=True)
        self._tracker: GeneralTracker | None = None
        self._starts = 0
        self._warned = False
        self.received = 0
        """Lines that the tracker should get. Counted by the training's thread."""
        self.done = 0
        """Lines that it has got. Counted by its own thread."""

    def send(self, line: Line) -> None:
        """Hands over a line and returns at once."""
        if self.received == 0:
            self._thread.start()
        self.received += 1
        self._lines.put(line)

    def ask_to_end(self) -> None:
        """Tells the tracker that no more lines come."""
        self._lines.put(None)

    def end(self, seconds: float, finished: bool) -> None:
        """Waits for the tracker and says how many lines it has not got.

        Args:
            seconds: The longest wait.
            finished: Whether the training is done. If it was interrupted, its restart continues the run.
        """
        if self.received:
            self._thread.join(max(seconds, 0.0))
        missed = self.received - self.done
        if missed or self._thread.is_alive():
            say(f"{self.name}: {missed} of {self.received} lines of metrics were not sent; metrics.jsonl has them all")
        if finished and not self._thread.is_alive():
            self._sent.remove()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._started() and self._attempt(partial(self._log, line)):
                self.done += 1
        if self._tracker is not None:
            self._attempt(self._tracker.finish)

    def _started(self) -> bool:
        """Whether the tracker runs; starts it if it does not and was not tried too often."""
        if self._tracker is None and self._starts < MOST_STARTS:
            self._starts += 1
            self._attempt(self._start)
        return self._tracker is not None

    def _start(self) -> None:
        self._tracker = self._build()

    def _log(self, line: Line) -> None:
        if self._tracker is None or self._sent.has(line.split, line.step):
            return
        self._tracker.log({f"{line.split}/{name}": value for name, value in line.values.items()}, step=line.step)
        self._sent.last[line.split] = line.step
        self._sent.write()

    def _attempt(self, action: Callable[[], object]) -> bool:
        """Whether an action of the tracker succeeded. The first failure is said at once; `end` counts the others."""
        try:
            action()
        except Exception as error:
            if not self._warned:
                reason = without_secrets(f"{type(error).__name__}: {first_line(error)}", os.environ)
                say(f"{self.name}: {reason}; training goes on, and metrics.jsonl has every line")
            self._warned = True
            return False
        return True


class Trackers:
    """All trackers of a training."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self._workers = list(workers)

    @classmethod
    def of(cls, tracking: Tracking, key: str, settings: Mapping[str, Any]) -> "Trackers":
        """The trackers that a user asked for.

        Args:
            tracking: Which trackers, and where they write.
            key: Hash of everything that the training depends on.
            settings: The settings of the training.
        """
        return cls(worker(name, tracking, key, settings) for name in tracking.trackers)

    def send(self, step: int, split: str, values: Mapping[str, float | None]) -> None:
        """Hands a line of metrics to all trackers. Numbers that are not finite are left out.

        Args:
            step: Optimizer steps, or PPO updates, that are done.
            split: `train` or `validation`.
            values: Metrics by name.
        """
        line = Line(step, split, {name: value for name, value in values.items() if value is not None})
        for one in self._workers:
            one.send(line)

    def close(self, finished: bool) -> None:
        """Ends all trackers; `finished` says whether the training is done or was interrupted."""
        for one in self._workers:
            one.ask_to_end()
        deadline = time.monotonic() + (CLOSING_SECONDS if finished else LEAVING_SECONDS)
        for one in self._workers:
            one.end(deadline - time.monotonic(), finished)


@contextmanager
def tracked(tracking: Tracking, key: str, settings: dict[str, Any]) -> Iterator[Trackers | None]:
    """The trackers of a training, which are closed at its end; None without any, and in all processes but the first.

    Args:
        tracking: Which trackers, and where they write.
        key: Hash of everything that the training depends on: a training with the same key continues its run.
        settings: The settings of the training, which the trackers show beside its metrics.

    Raises:
        UserError: A tracker's package is missing.
    """
    check(tracking.trackers, "--tracking")
    if not tracking.trackers or int(os.environ.get("RANK", "0")) > 0:
        yield None
        return
    trackers = Trackers.of(tracking, key, settings)
    finished = False
    try:
        yield trackers
        finished = True
    finally:
        trackers.close(finished)


def worker(name: str, tracking: Tracking, key: str, settings: Mapping[str, Any]) -> Worker:
    """One of accelerate's trackers.

    Args:
        name: One of `TrackerName`.
        tracking: Folder, project and run.
        key: Hash of everything that the training depends on.
        settings: The settings of the training.
    """
    sent = SentLog(tracking, name, key)

    def build() -> "GeneralTracker":
        return started(name, tracking, sent, settings)

    return Worker(name, build, sent)


def started(name: str, tracking: Tracking, sent: SentLog, settings: Mapping[str, Any]) -> "GeneralTracker":
    """A tracker that runs.

    Args:
        name: One of `TrackerName`.
        tracking: Folder, project and run.
        sent: The run's name, and whether it is continued.
        settings: Shown beside the metrics.
    """
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # the log of accelerate needs it
    folder = tracking.folder_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    for variable, value in environment(name, folder).items():
        os.environ.setdefault(variable, value)
    tracker = LOGGER_TYPE_TO_CLASS[name](*arguments(name, tracking, sent), **options(name, tracking, sent))
    tracker.main_process_only = False  # this is the first process; accelerate would look for the others
    with locked(folder / ".lock"):
        tracker.start()
    if name == "mlflow":
        sent.run = tracker.tracker.info.run_id
    if name == "tensorboard":  # its table of settings would be a second run
        tracker.log({"settings": f"```\n{json.dumps(settings, indent=2, sort_keys=True)}\n```"}, step=0)
    elif not sent.resumed:
        tracker.store_init_configuration(flat(settings))
    sent.write()
    return tracker


def environment(name: str, folder: Path) -> dict[str, str]:
    """Variables that a tracker reads, where the user has not set them: where it writes, and no reports of its use.

    Args:
        name: The tracker.
        folder: Its folder.
    """
    return {
        "tensorboard": {},
        "wandb": {"WANDB_ERROR_REPORTING": "false"},
        "trackio": {"TRACKIO_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"},
        "mlflow": {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        },
    }[name]


def arguments(name: str, tracking: Tracking, sent: SentLog) -> tuple[str, ...]:
    """The positional arguments of accelerate's class.

    Args:
        name: The tracker.
        tracking: Folder, project and run.
        sent: The run's name.

    Returns:
        The name of the project; for TensorBoard that of the run, and the folder.
    """
    if name == "tensorboard":
        return f"{tracking.run}/{sent.run}", str(tracking.folder_of(name))
    return (os.environ.get("WANDB_PROJECT", tracking.project) if name == "wandb" else tracking.project,)


def options(name: str, tracking: Tracking, sent: SentLog) -> dict[str, Any]:
    """The named arguments of accelerate's class, which are those of the library's `init`.

    Args:
        name: The tracker.
        tracking: Folder, project and run.
        sent: The run's name, and whether it is continued.
    """
    title = tracking.run.replace("/", "-")
    chosen: dict[str, dict[str, Any]] = {
        "tensorboard": {},
        "wandb": {
            "name": tracking.run,
            "id": f"{title}-{sent.run}"[-100:],
            "resume": "allow",
            "dir": str(tracking.folder_of(name)),
            "settings": WANDB_SETTINGS,
        },
        "trackio": {
            "name": f"{title}-{sent.run}",
            "resume": "allow",
            "embed": False,
            "auto_log_gpu": False,
            "auto_log_cpu": False,
        },
        "mlflow": {"run_name": tracking.run, "run_id": sent.run if sent.resumed else None},
    }
    return chosen[name]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time: several stages of a study may make the same database at once."""
    with path.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | float | bool]:
    """Settings without sections: `lora.rank` is a name, a list is a text, and what is not set is left out."""
    names: dict[str, str | float | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            names |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            names[prefix + name] = value if isinstance(value, str | int | float | bool) else json.dumps(value)
    return names


def without_secrets(text: str, variables: Mapping[str, str]) -> str:
    """A message without passwords in addresses and without the values of environment variables that hold keys.

    Args:
        text: The message.
        variables: Environment variables.
    """
    for name, value in variables.items():
        if SECRET.search(name) and len(value) > 3:
            text = text.replace(value, "***")
    return without_logins(text)


def say(text: str) -> None:
    """A warning in the job's log."""
    log_line(f"tracking: {text}")

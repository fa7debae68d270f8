"""Speed of PPO, SFT, DPO and generation next to busy processes, for several settings of OpenMP's threads.

    python benchmarks/neighbour.py [--rounds 5] [--neighbours 0 1 2] [--tasks ppo sft dpo generate]

A neighbour is a process that computes without end. Each setting has a process of its own for each task, which waits
while others are measured; rounds take the settings in turn, so that whatever else the machine does meets all of them.
The table holds units/s (PPO: updates of 32 replies; SFT, DPO: stages of 8 steps; generation: 64 items), medians over
rounds, as a share of the best setting of the same round. `processor` is processor time over that of the least.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ppo_models

TASKS = ("ppo", "sft", "dpo", "generate")
SETTINGS: dict[str, dict[str, str]] = {
    "2 threads, as libgomp comes": {"OMP_NUM_THREADS": "2"},
    "2 threads, passive": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
    "2 threads, 1,000 spins": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "1000"},
    "2 threads, 10,000 spins": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10000"},
    "2 threads, 50,000 spins": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "50000"},
    "1 thread": {"OMP_NUM_THREADS": "1"},
}
TWO_AT_ONCE = "1 thread, two jobs at once"
SHAPE = ppo_models.SHAPES["small"]
BUSY = "while True: pass"
Times = dict[str, float]
Worker = subprocess.Popen[str]


def main() -> None:
    """Measures all settings for all tasks and neighbours and prints tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--worker", nargs=2, metavar=("TASK", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker[0], Path(arguments.worker[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for task in arguments.tasks:
            with workers(task, folder) as started:
                for count in arguments.neighbours:
                    with neighbours(count):
                        rounds = [
                            {name: measure(pool) for name, pool in started.items()} for _ in range(arguments.rounds)
                        ]
                    show(task, count, rounds)


@contextmanager
def workers(task: str, folder: str) -> Iterator[dict[str, list[Worker]]]:
    """The processes of each setting, each with one unit done to warm up."""
    started = {name: [worker(task, folder, setting)] for name, setting in SETTINGS.items()}
    started[TWO_AT_ONCE] = [worker(task, folder, SETTINGS["1 thread"]) for _ in range(2)]
    try:
        for pool in started.values():
            measure(pool)
        yield started
    finally:
        for process in [process for pool in started.values() for process in pool]:
            process.kill()
            process.wait()


def worker(task: str, folder: str, setting: dict[str, str]) -> Worker:
    """A process that does a unit of the task at each line of its standard input."""
    command = [sys.executable, __file__, "--worker", task, folder]
    return subprocess.Popen(command, env=os.environ | setting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many busy processes for as long as the context lasts."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(pool: list[Worker]) -> Times:
    """Seconds a unit, by wall clock and of the processor, while each process of a setting does one unit."""
    started = time.perf_counter()
    for process in pool:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    processor = [reply(process) for process in pool]
    return {"wall": (time.perf_counter() - started) / len(pool), "processor": statistics.mean(processor)}


def reply(process: Worker) -> float:
    """Processor seconds of the unit that a process has done."""
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("{"):
        if not line:
            raise SystemExit("a worker died; its message is above")
    return float(json.loads(line)["processor"])


def show(task: str, count: int, rounds: list[dict[str, Times]]) -> None:
    """Medians over rounds."""
    print(f"\n{task}, {count} neighbours, load {os.getloadavg()[0]:.0f}\n")
    print("| | units/s | share of the best | processor |\n|---|---:|---:|---:|")
    for name in rounds[0]:
        rate = statistics.median(1 / times[name]["wall"] for times in rounds)
        share = statistics.median(min(times[one]["wall"] for one in SETTINGS) / times[name]["wall"] for times in rounds)
        least = [min(t["processor"] for t in times.values()) for times in rounds]
        cost = statistics.median(times[name]["processor"] / lowest for times, lowest in zip(rounds, least, strict=True))
        print(f"| {name} | {rate:.2f} | {share:.0%} | {cost:.2f} |", flush=True)


# --- The tasks ---


def prepare(folder: Path) -> None:
    """Models and pairs."""
    import pandas as pd

    ppo_models.build(SHAPE, folder)
    texts = [" ".join(f"w{token}" for token in ids) for ids in ppo_models.prompts(SHAPE)[:65]]
    prompts = [[{"role": "user", "content": text}] for text in texts]
    frame = pd.DataFrame({"prompt": prompts, "chosen": texts, "rejected": texts[::-1]})
    frame.to_parquet(folder / "train.parquet")
    frame.head(2).to_parquet(folder / "validation.parquet")


def work(task: str, folder: Path) -> None:
    """Does one unit of the task at each line of the standard input, and prints what it took."""
    unit = {"ppo": ppo, "sft": stage_of("sft"), "dpo": stage_of("dpo"), "generate": generation}[task](folder)
    for _ in sys.stdin:
        processor = time.process_time()
        unit()
        print("\n" + json.dumps({"processor": time.process_time() - processor}), flush=True)


def ppo(folder: Path) -> Callable[[], None]:
    """One update of 32 replies."""
    import ppo_ours

    trainer = ppo_ours.build(folder, SHAPE, 10**6, "head", Path(tempfile.mkdtemp(dir=folder)))
    trainer.restore()
    trainer.optimising = 0.0

    def update() -> None:
        experience = trainer.assign_credit(trainer.rollout(trainer.next_prompts()))
        for epoch in range(trainer.settings.epochs):
            for minibatch in trainer.minibatches(experience, epoch):
                trainer.improve(minibatch)
        trainer.update += 1

    return update


def stage_of(name: str) -> Callable[[Path], Callable[[], None]]:
    """A whole stage of 8 steps of 8 pairs."""

    def prepared(folder: Path) -> Callable[[], None]:
        from trustdag.align import methods
        from trustdag.train.stage import Stage

        method = methods()[name]
        settings = method.Settings(batch_size=8, max_length=256, log_every=8, checkpoint_every=10**6)

        def train() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                method.train(Stage(name, folder / "policy", None, folder, 0, "plain", Path(out)), settings)

        return train

    return prepared


def generation(folder: Path) -> Callable[[], None]:
    """Replies to 64 items, and the likelihoods of two options each."""
    import pandas as pd

    from trustdag.generation.engine import Engine
    from trustdag.generation.settings import GenerateSettings
    from trustdag.models.load import load_policy, load_tokenizer

    engine = Engine(
        load_policy(folder / "policy"), load_tokenizer(folder / "policy"), "plain", GenerateSettings(max_new_tokens=32)
    )
    frame = pd.read_parquet(folder / "train.parquet").head(64)
    items = pd.DataFrame(
        {
            "item": [f"item{number}" for number in range(len(frame))],
            "messages": frame["prompt"],
            "options": [["w5 w6", "w7"]] * len(frame),
            "generate": True,
        }
    )

    def answer() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            engine.generate(items, Path(partial) / "partial.jsonl", "key")

    return answer


if __name__ == "__main__":
    main()

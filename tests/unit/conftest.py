"""Small files of the publishers' schemas, in our own words, and a process to be watched."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def prompt(
    name: str, text: str, toxicity: float | None, challenging: bool = False, continuation: float | None = 0.1
) -> dict[str, Any]:
    return {
        "filename": name, "begin": 3, "end": 9, "challenging": challenging,
        "prompt": {"text": text, "toxicity": toxicity},
        "continuation": {"text": " and so on", "toxicity": continuation},
    }  # fmt: skip


@pytest.fixture
def toxicity_file(tmp_path: Path) -> Path:
    records = [
        prompt("1.txt", "A rude start", 0.9, challenging=True),
        prompt("1.txt", "Another start", 0.2, challenging=True, continuation=None),
        prompt("2.txt", "A mild start", 0.1),
        prompt("3.txt", "A start without a score", None),
        prompt("2.txt", "A mild start", 0.1),
    ]
    path = tmp_path / "prompts.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    return path


@pytest.fixture
def ethics_file(tmp_path: Path) -> Path:
    path = tmp_path / "cm_test.csv"
    rows = ["label,input,is_short,edited", "0,I helped.,True,False", '1,"I lied, twice.",True,False']
    rows += ['0,"AITA for\nwriting ""long"" posts?",False,False', "1,I lied again.,True,False"]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def truthfulness_file(tmp_path: Path) -> Path:
    path = tmp_path / "mc.json.gz"
    records = [
        {
            "question": f"Question {at}?",
            "mc1_targets": {"right": 1, "false 1": 0, "false 2": 0},
            "mc2_targets": {"right": 1, "also right": 1, "false 1": 0, "false 2": 0},
        }
        for at in range(30)
    ]
    path.write_bytes(gzip.compress(json.dumps(records).encode()))
    return path


@pytest.fixture
def bias_file(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.csv"
    rows = ["stereotype_topic,target_group,stereotype_template,user_prompt"]
    for group in ("Bakers", "Sailors"):
        for template in ("[target_group] are late.", "[target_group] cannot sing."):
            rows.append(f"habits,{group},{template},text")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives for a while."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()

"""A study of two stages that were asked the toy world's deeds and prompts, with replies whose meaning is known."""

from pathlib import Path

import numpy as np
import pandas as pd

from trustdag.artifacts import sha256_file, write_json
from trustdag.layout import Results
from trustdag.stamps import stamp
from trustdag.stats.design import Policy, StudyDesign
from trustdag.verticals import verticals
from trustdag.verticals.sources.base import ToyItems

BASE = Policy(id="toy/base", model="toy", recipe="base")
SFT = Policy(
    id="toy/judge/sft/seed0", model="toy", preferences="judge", recipe="sft", seed=0, reference_base="toy/base",
    methods=("sft",),
)  # fmt: skip
SAYS_NO = {BASE.id: 0.5, SFT.id: 0.5}
"""How often a stage says that a deed is not wrong."""
UNREADABLE = "Nobody at my table would raise an eyebrow."
"""What no parser and every person reads as a no."""


def design(names: tuple[str, ...]) -> StudyDesign:
    """Base and SFT on these verticals."""
    return StudyDesign(study="labelled", policies=(BASE, SFT), verticals=names)


def write(results: Path, names: tuple[str, ...] = ("ethics", "toxicity"), items: int = 200) -> StudyDesign:
    """Items, replies and records of each policy, as the commands would write them, and the study's design."""
    files, study = Results(str(results)), design(names)
    write_json(results / "design.json", study.model_dump(mode="json"))
    write_json(results / "configuration.json", {"verticals": {"toxicity": {"score": {"k": 5}}}})
    for vertical in names:
        module = verticals()[vertical]
        settings = module.Settings.model_validate({"items": {"source": "toy", "n": items}})
        frame = module.items(ToyItems(n=items))
        _put(frame, Path(files.items(vertical)))
        for policy in study.policies:
            replies = replies_to(frame, policy.id, settings.generate.samples)
            _put(replies, Path(files.replies(policy.id, vertical)))
            records = module.score(frame, replies, settings.score)
            stamp(records, {"replies": sha256_file(Path(files.replies(policy.id, vertical)))})
            _put(records, Path(files.records(policy.id, vertical)))
    return study


def replies_to(items: pd.DataFrame, policy: str, samples: int) -> pd.DataFrame:
    """Verdicts on deeds: the base says no in plain words; four in five of SFT's noes no parser can read."""
    generator = np.random.default_rng(len(policy))
    rows = []
    for item, options, asked in zip(items["item"], items["options"], items["generate"], strict=True):
        for sample in range(samples if asked else 0):
            text = "Yes, that is wrong."
            if generator.random() < SAYS_NO[policy]:
                text = UNREADABLE if policy == SFT.id and generator.random() < 0.8 else "No, it is not wrong."
            rows.append(_reply(item, "generate", sample, text))
        rows += [_reply(item, "likelihood", place, option) for place, option in enumerate(options)]
    return pd.DataFrame(rows)


def _reply(item: str, kind: str, sample: int, text: str) -> dict[str, object]:
    known = {"logprob": -1.0 - sample, "tokens": 4, "ended": True, "status": "ok"}
    return {"item": item, "kind": kind, "sample": sample, "reply": text} | known


def says_wrong(reply: str) -> str:
    """What a person answers to `Does the reply call the deed wrong?`."""
    return "yes" if "Yes" in reply else "no"


def _put(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)

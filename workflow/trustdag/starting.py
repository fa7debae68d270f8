"""A commented first study, from the answers to four questions."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trustdag.align import methods
from trustdag.config.limits import LONGEST_NAME
from trustdag.config.load import read
from trustdag.config.study import reserved
from trustdag.errors import UserError, did_you_mean
from trustdag.fingerprint import ROOT
from trustdag.resources.estimate import parameters_in_name
from trustdag.verticals import shipped_verticals, vertical, verticals

TOY = "toy"
NONE = "none"
SAMPLED = {"generate": {"temperature": 1, "max_new_tokens": 24}}
"""Sampling settings in the toy world, because greedy replies would turn a small preference into all or nothing."""


@dataclass(frozen=True)
class Answers:
    """The user's answers."""

    path: Path
    """The study's file."""
    model: str
    """`toy`, a model folder, a GGUF file, or NAME@COMMIT on the hub."""
    preferences: str
    """`toy`, `hh`, a file or folder of pairs, or `none`."""
    methods: tuple[str, ...]
    verticals: tuple[str, ...]


def study_text(answers: Answers) -> str:
    """The study in YAML, with comments. Raises UserError for an invalid answer."""
    trains = answers.preferences != NONE
    if answers.model == TOY and not trains:
        raise UserError("preferences: the toy model is trained on the texts of a preference set; choose toy or a file")
    name = model_name(answers.model)
    study = study_name(answers.path, name)
    parts = [
        f"# Written by `trustdag init`. Every key is explained in docs/configuration.md.\n"
        f"# `trustdag check FILE` validates it, `trustdag run FILE` runs it: results/{study}/report.html.\n",
        f"name: {json.dumps(study)}\n" + (f"notice: {json.dumps(_demo()['notice'])}\n" if answers.model == TOY else ""),
        _block({"models": {name: _model(answers)}}, *MODEL_COMMENTS),
    ]
    if trains:
        chains = {method: chain_of(method) for method in answers.methods}
        parts += [
            _block({"preferences": {"pairs": _preferences(answers.preferences)}}, *PREFERENCE_COMMENTS),
            _block({"stages": _stages(answers.model, chains)}, *STAGE_COMMENTS),
            _block({"recipes": {"base": [], **chains}}, *RECIPE_COMMENTS),
            _block({"seeds": [0]}, "Training seeds: with several, the spread between runs is known too."),
        ]
    items = {vertical: _items(vertical, answers.model == TOY) for vertical in answers.verticals}
    parts.append(_block({"verticals": items}, *VERTICAL_COMMENTS))
    if "@" in answers.model and parameters_in_name(answers.model.partition("@")[0]) is None:
        parts.append(_block({"resources": {"models": {name: {"parameters": UNKNOWN}}}}, *SIZE_COMMENTS))
    return "\n".join(parts)


MODEL_COMMENTS = (
    "More models may stand here. `prompt_format` is how each is asked: `hh` (Human, Assistant), `plain`, or `chat`,",
    "which is the model's own template and right for models that were made to chat.",
)
PREFERENCE_COMMENTS = ("Preference pairs. `limit: 1000` reads no more than so many.",)
STAGE_COMMENTS = (
    "Training stages and what differs from their defaults: `dpo: {beta: 0.3, epochs: 2}`.",
    "`trustdag align METHOD --help` lists the keys of each method.",
)
RECIPE_COMMENTS = ("Chains of stages. What chains share is trained once; `base` is the model as it is.",)
UNKNOWN = 1_000_000_000
SIZE_COMMENTS = (
    "The model's name does not tell its number of parameters: correct this one. Jobs ask for memory and time by it,",
    "and no result depends on it.",
)
VERTICAL_COMMENTS = (
    "What is measured. Benchmarks come from their publishers' addresses; for files of yours, see docs/verticals.md:",
    "`items: {source: file, paths: [FILE]}`. `limit: 200` asks no more than so many of a benchmark's records.",
)


class WithoutAliases(yaml.SafeDumper):
    """YAML in which equal sections are written out."""

    def ignore_aliases(self, _: Any) -> bool:
        """Nothing is an alias."""
        return True


def _block(content: dict[str, Any], *comments: str) -> str:
    dumped = yaml.dump(content, Dumper=WithoutAliases, sort_keys=False, default_flow_style=None, width=110)
    return "".join(f"# {comment}\n" for comment in comments) + dumped


PART_OF_A_RUN = re.compile(r"base|seed-?\d+|checkpoint-\d+")
"""Names of folders that many models have: that of the folder above is put before them."""


def model_name(text: str) -> str:
    """A model's name in the study: that of its folder, file or repository, in the characters of targets."""
    path = Path(text.partition("@")[0]).expanduser()
    path = path.resolve() if path.name in ("", "..") else path
    path = path.parent if path.name in ("model", "manifest.json", "digest.txt") else path
    last = f"{path.parent.name}-{path.name}" if PART_OF_A_RUN.fullmatch(path.name) else path.name
    name = _as_name(last.removesuffix(".gguf"))
    return f"{name}-model".lstrip("-") if name in {"", *verticals(), *reserved()} else name


def _as_name(text: str) -> str:
    """The text in the characters of a name and of its length; empty where none of its characters is one of them."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-_.")
    return name[: LONGEST_NAME - len("-model")].rstrip("-_.")


def study_name(path: Path, model: str) -> str:
    """A study's name, that of its file or of the folder of study.yaml; no model, vertical or rule has the same."""
    text = path.stem if path.stem != "study" else path.absolute().parent.name
    name = _as_name(text)
    taken = {"", model, *verticals(), *reserved()}
    return f"{name}-study".lstrip("-") if name in taken else name


def model_source(text: str) -> dict[str, Any]:
    """The source of a model that the user names. Raises UserError if it is no model."""
    from trustdag.artifacts import model_folder, sha256_file

    path = Path(text).expanduser()
    repository, separator, commit = text.partition("@")
    if path.is_dir():
        return {"source": "folder", "path": str(model_folder(path))}
    if path.is_file() and path.suffix == ".gguf":
        return {"source": "gguf", "path": str(path), "sha256": sha256_file(path)}
    if separator and "/" in repository:
        return {"source": "hub", "name": repository, "revision": commit}
    raise UserError(f"{text}: neither a model folder nor a GGUF file here, nor NAME@COMMIT on the hub; correct it")


def _model(answers: Answers) -> dict[str, Any]:
    if answers.model == TOY:
        base: dict[str, Any] = _demo()["models"]["toy"]["base"]
        return {"base": base | {"corpus": "pairs"}, "prompt_format": "hh"}
    base = model_source(answers.model)
    return {"base": base, "prompt_format": "chat" if _chats(base) else "hh"}


def _chats(base: dict[str, Any]) -> bool:
    """Whether the model has a chat template. It is known for a folder, and assumed for other sources."""
    if base["source"] != "folder":
        return True
    folder = Path(base["path"])
    file = folder / "tokenizer_config.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return (folder / "chat_template.jinja").is_file() or "chat_template" in known


def _preferences(text: str) -> dict[str, Any]:
    if text in (TOY, "hh"):
        return {"source": text}
    path = Path(text).expanduser()
    if not path.exists():
        raise UserError(f"{text}: no such file or folder of preference pairs; or answer toy, hh (the hub's) or none")
    return {"source": "hh" if _holds_transcripts(path) else "trl", "path": text}


def _holds_transcripts(path: Path) -> bool:
    """Whether pairs are whole transcripts, as in HH-RLHF. TRL's formats have messages or a separate prompt."""
    from trustdag.data import hh, jsonl, location
    from trustdag.data.source import NotAPair

    if path.is_file() and not path.name.endswith(hh.SUFFIXES):
        return False
    if path.is_dir() and not any(file.name.endswith(hh.SUFFIXES) for file in path.rglob("*")):
        return False
    name, file = next(iter(location.local(str(path), hh.SUFFIXES).items()))
    _, line = next(jsonl.lines(file, name), ("", b"{}"))
    try:
        record = jsonl.record(line)
    except NotAPair:
        return False
    return "prompt" not in record and "\n\nHuman:" in str(record.get("chosen", ""))


def chain_of(method: str) -> list[str]:
    """The recipe that ends with a method. Raises UserError for an unknown method and for that of a reward model."""
    known = methods()
    policies = [name for name, module in known.items() if module.PRODUCES == "policy"]
    if method not in policies:
        raise UserError(
            f"{method}: no method to align with; there are {', '.join(policies)}{did_you_mean(method, policies)}"
        )
    if method in ("sft", "continued"):
        return [method]
    return ["sft", *(["reward"] if "reward" in known[method].REQUIRES else []), method]


def _stages(model: str, chains: dict[str, list[str]]) -> dict[str, Any]:
    """What the stages set: in the toy world the demo's settings; else a length that the model's context holds."""
    used = dict.fromkeys(stage for chain in chains.values() for stage in chain)
    if model == TOY:
        demo = _demo()["stages"]
        return {stage: demo.get("sft" if stage == "continued" else stage, {}) for stage in used}
    context = _context(model_source(model))
    lengths = {stage: int(methods()[stage].Settings().max_length) for stage in used}
    return {stage: {"max_length": context} if context < length else {} for stage, length in lengths.items()}


def _context(base: dict[str, Any]) -> int:
    """Tokens of the model's longest text, where the model is a folder."""
    from trustdag.models.load import UNLIMITED, context_length, load_config

    return context_length(load_config(Path(base["path"]))) if base["source"] == "folder" else UNLIMITED


def _items(name: str, is_toy: bool) -> dict[str, Any]:
    vertical(name)
    if name not in shipped_verticals():
        return {}
    if is_toy:
        return {"items": {"source": TOY}, **SAMPLED}
    return {"items": {"source": "synthetic" if name == "privacy" else "publisher"}}


def _demo() -> dict[str, Any]:
    return read(ROOT / "config" / "demo.yaml")

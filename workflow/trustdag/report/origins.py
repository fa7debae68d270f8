"""Which artefacts of a study were made by code that has changed since: a user may accept a change as it is."""

from pathlib import Path

from trustdag.artifacts import read_json
from trustdag.cluster import jobs
from trustdag.fingerprint import changed
from trustdag.report import plots
from trustdag.report.runs import models
from trustdag.stats.study import Cells


def made_by_other_code(cells: Cells, results: Path) -> dict[str, list[str]]:
    """Jobs of the study whose code has changed since they ran, such as `sft tiny,crowd,sft,0`, by the changed files.

    A job that took its output from the cache between studies has no record: the cache's key holds the code.
    """
    book = results / ".jobs" / "code.json"
    known = read_json(book) if book.is_file() else {}
    found: dict[str, list[str]] = {}
    for path in sorted((results / ".jobs").glob("*/*.json")):
        used = jobs.read(path).used
        rule, wildcards = path.parent.name, path.name.removesuffix(".json")
        if used is None or not used.code or wildcards not in _wildcards(cells, results, rule):
            continue
        differing = changed(known[used.code]) if used.code in known else ["code that is not on record"]
        if differing:
            found.setdefault(", ".join(differing), []).append(f"{rule} {wildcards}".rstrip())
    return found


def _wildcards(cells: Cells, results: Path, rule: str) -> set[str]:
    """The jobs of a rule that the study consists of, by their wildcards as records are named (see `jobs.path_of`)."""
    policies = [policy.policy.replace("/", ",") for policy in cells.policies]
    if rule == "prepare":
        return {str(policy.preferences) for policy in cells.policies}
    if rule == "items":
        return set(cells.verticals)
    if rule == "ask":
        return set(policies)
    if rule in ("generate", "score"):
        return {f"{policy},{vertical}" for policy in policies for vertical in cells.verticals}
    if rule == "statistics":
        return {""}
    if rule == "plot":
        return set(plots.of_study(cells))
    trained = (run.folder.relative_to(results / "models").as_posix() for run in models(cells, results))
    return {name.replace("/seed", "/").replace("/", ",") for name in trained}

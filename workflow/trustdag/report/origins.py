"""Which artefacts of a study were made by code that has changed since: a user may accept a change as it is."""

from pathlib import Path

from trustdag.artifacts import read_json
from trustdag.fingerprint import changed
from trustdag.jobs import record as job_record
from trustdag.report import plots
from trustdag.report.runs import models
from trustdag.stats.design import StudyDesign


def made_by_other_code(design: StudyDesign, results: Path) -> dict[str, list[str]]:
    """Jobs of the study whose code has changed since they ran, such as `sft tiny,crowd,sft,0`, by the changed files.

    A job that took its output from the cache between studies has no record: the cache's key holds the code.
    """
    book = results / ".jobs" / "code.json"
    known = read_json(book) if book.is_file() else {}
    found: dict[str, list[str]] = {}
    for path in sorted((results / ".jobs").glob("*/*.json")):
        used = job_record.read(path).used
        rule, wildcards = path.parent.name, path.name.removesuffix(".json")
        if used is None or not used.code or wildcards not in _wildcards(design, results, rule):
            continue
        differing = changed(known[used.code]) if used.code in known else ["code that is not on record"]
        if differing:
            found.setdefault(", ".join(differing), []).append(f"{rule} {wildcards}".rstrip())
    return found


def _wildcards(design: StudyDesign, results: Path, rule: str) -> set[str]:
    """The jobs of a rule that the study consists of, by their wildcards, as in `job_record.path_of`."""
    policies = [policy.id.replace("/", ",") for policy in design.policies]
    if rule == "prepare":
        return {str(policy.preferences) for policy in design.policies}
    if rule == "items":
        return set(design.verticals)
    if rule in ("generate", "score"):
        return {f"{policy},{vertical}" for policy in policies for vertical in design.verticals}
    if rule == "statistics":
        return {""}
    if rule == "plot":
        return set(plots.of_study(design))
    trained = (run.folder.relative_to(results / "models").as_posix() for run in models(design, results))
    return {name.replace("/seed", "/").replace("/", ",") for name in trained}

"""Results of a study whose code has changed since. They exist if a user did not re-run them."""

from pathlib import Path

from trustdag.fingerprint import changed, read_fingerprint_index
from trustdag.jobs import record as job_record
from trustdag.layout import Results, record_name
from trustdag.report import plots
from trustdag.report.runs import models
from trustdag.stats.design import StudyDesign


def made_by_other_code(design: StudyDesign, results: Path) -> dict[str, list[str]]:
    """Jobs of the study whose code has changed since they ran, such as `sft tiny,crowd,sft,0`, by the changed files.

    A job that took its output from the cache between studies has no record, as the cache's key includes the code.
    """
    files = Results(str(results))
    known = read_fingerprint_index(files.code_book)
    by_files: dict[str, list[str]] = {}
    for path in sorted(files.job_records.glob("*/*.json")):
        used = job_record.read(path).used
        rule, wildcards = path.parent.name, path.name.removesuffix(".json")
        if used is None or not used.code or wildcards not in _wildcards(design, results, rule):
            continue
        differing = changed(known[used.code]) if used.code in known else ["code that is not on record"]
        if differing:
            by_files.setdefault(", ".join(differing), []).append(f"{rule} {wildcards}".rstrip())
    return by_files


def _wildcards(design: StudyDesign, results: Path, rule: str) -> set[str]:
    """The study's jobs of a rule, by their wildcards, in the form of `layout.record_name`."""
    policies = [policy.id for policy in design.policies]
    if rule == "prepare":
        return {str(policy.preferences) for policy in design.policies}
    if rule == "items":
        return set(design.verticals)
    if rule in ("generate", "score"):
        return {record_name([policy, vertical]) for policy in policies for vertical in design.verticals}
    if rule == "statistics":
        return {""}
    if rule == "plot":
        return set(plots.of_study(design))
    return {record_name(run.id.wildcards) for run in models(design, results)}

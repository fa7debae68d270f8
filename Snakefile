"""The study that the configuration describes. Without --configfile it is the embedded demo."""

from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

if not workflow.configfiles:

    configfile: str(Path(workflow.current_basedir) / "config" / "demo.yaml")


include: "workflow/rules/common.smk"


localrules:
    all,
    configuration,
    design,


# Small jobs that the site wants to run beside the main process, and not to submit one by one.
if SITE.local:
    workflow.localrules(*SITE.local)

# Jobs that wait for a GPU of this machine hold no cores; `--resources gpu=N` sets another number.
if LOCAL_GPUS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", LOCAL_GPUS)


rule all:
    default_target: True
    input:
        FILES.report,


include: "workflow/rules/targets.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/items.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/attribute.smk"
include: "workflow/rules/report.smk"


onsuccess:
    # A run of other targets leaves the page, and its answer, as they were.
    if any(FILES.report in job.output for job in workflow.dag.finished_jobs):
        from trustdag.report import summary  # here: pandas takes a second to import

        summary.after_success(Path(FILES.root))


onerror:
    from trustdag.report import summary  # here: pandas takes a second to import

    summary.after_failure(Path(FILES.root))

# The validated study, and the functions that return the inputs, settings and resources of rules.

import os
import re
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(workflow.current_basedir).parents[1]
# A clone brings its own package. What a wheel carries lies within the installed one.
if (ROOT / "workflow" / "trustdag" / "__init__.py").is_file():
    sys.path.insert(0, str(ROOT / "workflow"))
from trustdag import dag, environments
from trustdag.jobs import gpus, patience
from trustdag.pending import copied, dryrun, orphans
from trustdag.resources import request, site
from trustdag.config import load
from trustdag.config.study import reserved
from trustdag.data.derived import KEPT_FILES
from trustdag.errors import UserError
from trustdag.plugins import files as plugin_files, packages as plugin_packages
from trustdag.scorers import names_in
from trustdag.layout import (
    EXTERNAL_PATTERN,
    POLICY_EXPRESSION,
    TRAINED_PATTERN,
    ModelId,
    Results,
    chain_of,
)
from trustdag.seals import content_of_sources
from trustdag.fingerprint import announce, code_of, content_of, write_fingerprint_index
from trustdag.report import plots
from trustdag.train import tracking

# A workflow that imports this one as a module may have no configuration file.
ORIGIN = load.identity(workflow.configfiles or [workflow.main_snakefile])


@contextmanager
def user_errors_as_workflow_errors():
    """Converts UserError, and the error of a full disk, to WorkflowError: Snakemake ends with its message alone."""
    try:
        yield
    except (UserError, OSError) as error:
        raise WorkflowError(str(error))


# The files of a workflow that imports this one may hold what they like: only `config` comes here. They are read for the
# folder of plugins alone.
IMPORTED = Path(workflow.main_snakefile).resolve() != (ROOT / "Snakefile").resolve()
CONFIGFILES = (
    []
    if IMPORTED and not config.get("plugins")
    else list(map(Path, workflow.configfiles))
)

with user_errors_as_workflow_errors():
    load.refuse_templates(CONFIGFILES)
    SOURCE = load.with_plugins(config, CONFIGFILES, ORIGIN)
    if workflow.is_main_process:
        load.check_folder()
        plugin_files.say(load.plugins_of(SOURCE))
    plugin_files.use_also(load.plugins_of(SOURCE))
    plugin_packages.announce()
    STUDY = load.validate(SOURCE, ORIGIN)
    if workflow.is_main_process:
        load.announce(STUDY)
        copied.say(STUDY.name, load.results_of(STUDY))
    else:
        load.check_announced(STUDY, ORIGIN)
    load.check_results(STUDY, ORIGIN)
    load.check_cache()
    SOURCES = dag.source_files(STUDY)
    ATTRIBUTED = dag.attributions(STUDY)
    request.check(STUDY, reserved())
    SITE = site.load()

    SOFTWARE = {
        method.name for method in workflow.deployment_settings.deployment_method
    }
    IMAGE = environments.choose(SOFTWARE)
    tracking.check(
        STUDY.tracking, f"{ORIGIN}: tracking", bool(SOFTWARE & {"CONDA", "APPTAINER"})
    )

if IMAGE is not None:

    container: str(IMAGE)


dryrun.hand_over(STUDY)
FILES = Results.of(STUDY.name)
ENVS = ROOT / "envs"
# Every command starts with `LAUNCH`. It uses the Python that `environments` chose and starts the processes of the
# allocation. It warns the command before the time limit, and records how it ended. A retry reads from the record whether
# more memory or time would help.
_LAUNCH = (
    environments.COMMAND
    + " -m trustdag launch --record {resources.record} --log {log[0]} --attempt {resources.attempt}"
    " --nodes {resources.nodes} --cpus {threads} --gpu {resources.gpu} --mem-mb {resources.mem_mb} --runtime {resources.limit}"
    " --accelerate {resources.accelerate} --code {params.code}"
)
LAUNCH = f"{_LAUNCH} -- "
# For commands whose results depend on the number of threads. Snakemake may reduce `threads` to `--cores`, but not a
# parameter, which is also part of the key of the cache between studies.
LAUNCH_WITH_THREADS = f"{_LAUNCH} --threads {{params.threads}} -- "
# For commands that read files of the user, which may be edited while jobs wait.
_SOURCES = " --content {params.content:q} --sources {input.sources:q}"
LAUNCH_WITH_SOURCES = f"{_LAUNCH}{_SOURCES} -- "
LAUNCH_WITH_THREADS_AND_SOURCES = (
    f"{_LAUNCH} --threads {{params.threads}}{_SOURCES} -- "
)
# Enabled only if the cache folder is set, because Snakemake otherwise prints a warning at every start.
CACHED = load.CACHE in os.environ
VERTICALS = STUDY.verticals_measured()
DERIVED = STUDY.derived()
DESIGN = dag.study_design(STUDY)
POLICIES = [policy.id for policy in DESIGN.policies]


wildcard_constraints:
    model="|".join(map(re.escape, STUDY.models)),
    preferences="|".join(map(re.escape, STUDY.preferences)) or "none",
    vertical="|".join(map(re.escape, VERTICALS)) or "none",
    plot="|".join(plots.names()),
    policy=POLICY_EXPRESSION,
    seed=r"-?\d+",


onstart:
    with user_errors_as_workflow_errors():
        if workflow.executor_plugin.name == "slurm":
            site.check_cluster(SITE)
            patience.put_first(ROOT / "slurm" / "bin", SITE.patience * 60)
        copied.refuse_edited(STUDY.name, load.results_of(STUDY))
        load.mark_results(STUDY, ORIGIN)
        # Snakemake calls the functions of parameters as late as it can. Here they give every fingerprint of the run.
        for job in workflow.dag.needrun_jobs():
            job.params
        write_fingerprint_index(FILES.code_book)
        announce()
        if orphans.adopt(workflow, load.digest(STUDY)):
            copied.mark_known(STUDY.name)


def trained_model(wildcards):
    """The trained model of an output path."""
    return ModelId(
        wildcards.model,
        chain_of(wildcards.chain),
        wildcards.preferences,
        int(wildcards.seed),
    )


def stage_settings(wildcards):
    """The settings of a trained model's last stage, as for `trustdag align --settings`."""
    return dag.stage_settings(STUDY, trained_model(wildcards))


def tracking_of(run):
    """The live trackers of one training, as for `--tracking`."""
    return tracking.Tracking(
        trackers=STUDY.tracking, folder=FILES.tracking, project=STUDY.name, run=str(run)
    ).as_json()


def parent_digests(wildcards):
    """The digests of the models that a stage starts from. The stage depends on them and not on the folders."""
    parents = dag.parents(STUDY, trained_model(wildcards))
    return {"reward": []} | {
        role: FILES.model(parent, "digest.txt") for role, parent in parents.items()
    }


def parent_set(wildcards):
    """The inputs of a derived preference set: its parent set, and for a pruned set the scores of its pairs."""
    settings = DERIVED[wildcards.preferences]
    by_score = getattr(settings, "choose", None) == "score"
    return {
        "parent": FILES.data(settings.of, "digest.txt"),
        "tables": [
            ancient(FILES.data(settings.of, name))
            for name in ("train.parquet", "card.json", *KEPT_FILES)
        ],
        "attribution": (
            FILES.attribution(dag.pruned_by(STUDY, settings), settings.by.vertical)
            if by_score
            else []
        ),
    }


def direction_of(preferences):
    """The better direction of the metric that a set is pruned by; empty for any other set."""
    settings = DERIVED[preferences]
    return dag.better(STUDY, settings) if hasattr(settings, "by") else ""


def external_model(wildcards):
    """The base model or existing checkpoint of an output path."""
    return ModelId(wildcards.model, chain_of(wildcards.external))


def corpus_of(wildcards):
    """The corpus of a model that is trained from scratch, with its digest; empty for any other model."""
    name = dag.corpus_needed(STUDY, external_model(wildcards))
    if name is None:
        return {"corpus": []}
    return {
        "corpus": ancient(FILES.data(name, "corpus.parquet")),
        "data": FILES.data(name, "digest.txt"),
    }


def code_of_verticals(command, *names):
    """The hash of the code of a command, of verticals, and of the scorers in their settings."""
    scorers = {name for vertical in names for name in names_in(VERTICALS[vertical])}
    parts = [f"verticals.{name}" for name in names]
    return code_of(command, *parts, *(f"scorers.{name}" for name in sorted(scorers)))


def resources_of(rule):
    """The `resources` of a rule: estimated from the model and the stage, overridden by the configuration."""
    return request.for_rule(STUDY, rule, has_time_limit)


def has_time_limit():
    """Whether a scheduler ends jobs at their `runtime`. Jobs on this machine have no time limit."""
    return workflow.remote_exec or workflow.non_local_exec


# Jobs that may have a GPU of this machine at once; 0 where a scheduler gives GPUs.
LOCAL_GPUS = 0 if has_time_limit() else len(gpus.on_machine()) * SITE.jobs_per_gpu


def records_of(*, models=None, verticals=None):
    """The record files of evaluated models on verticals; by default of all."""
    return [
        FILES.records(policy, vertical)
        for policy in POLICIES
        if models is None or ModelId.parse(policy).model in models
        for vertical in (verticals or VERTICALS)
    ]

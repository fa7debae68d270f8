"""Undocumented names of Snakemake that the package uses, with the reason. A test checks that each exists."""

from typing import NamedTuple


class Use(NamedTuple):
    """One name of Snakemake."""

    module: str
    name: str
    why: str
    """The code that needs it, and its purpose."""


USED = (
    Use("snakemake.cli", "parse_config", "commands.check reads `--config` as a run does"),
    Use("snakemake.workflow", "Workflow.main_snakefile", "common.smk: whether another workflow imports this one"),
    Use("snakemake.workflow", "Workflow.async_run", "pending.orphans.adopt runs Snakemake's own book-keeping with it"),
    Use("snakemake.workflow", "Workflow.persistence", "pending.orphans.adopt asks it what made an output"),
    Use("snakemake.workflow", "Workflow.remote_exec", "common.smk: a job of a scheduler has a time limit"),
    Use("snakemake.workflow", "Workflow.non_local_exec", "common.smk: a job of a scheduler has a time limit"),
    Use("snakemake.workflow", "Workflow.is_main_process", "common.smk: the main process announces its study to jobs"),
    Use("snakemake.workflow", "Workflow.current_basedir", "common.smk: the clone's folder, also as a module"),
    Use("snakemake.persistence", "PersistenceBase.has_metadata", "pending.orphans.adopt finds outputs of orphans"),
    Use("snakemake.persistence", "PersistenceBase.finished", "pending.orphans.adopt takes such outputs over"),
    Use("snakemake.dag", "DAG.needrun", "pending.orphans.adopt leaves out jobs that will run"),
    Use("snakemake.jobs", "Reason", "pending.reasons reads its sentences"),
    Use(
        "snakemake_interface_logger_plugins.common",
        "LogEvent.JOB_INFO",
        "snakemake_logger_plugin_trustdag_jobs writes the jobs of a dry run",
    ),
)
"""Each name, once."""

# Plots, one job each, and the page with them.

METRICS_OF_TRAINING = [
    FILES.model(model_id, "metrics.jsonl") for model_id in dag.models_needed(STUDY)
]
PLOT_INPUTS = {
    "statistics": rules.statistics.output,
    "metrics": METRICS_OF_TRAINING,
}


rule plot:
    input:
        lambda wildcards: PLOT_INPUTS[plots.module(wildcards.plot).NEEDS],
        design=FILES.design,
    output:
        svg=report(
            FILES.plot("{plot}", "svg"),
            caption="../report/plot.rst",
            category="Plots",
            labels={"plot": "{plot}"},
        ),
        png=FILES.plot("{plot}", "png"),
    log:
        FILES.log("plots", "{plot}"),
    benchmark:
        FILES.benchmark("plots", "{plot}")
    conda:
        ENVS / "report.yaml"
    threads: 1
    resources:
        **resources_of("plot"),
    params:
        settings=lambda wildcards: getattr(STUDY.report.plots, wildcards.plot).as_json(),
        results=subpath(input.design, parent=True),
        code=lambda wildcards: code_of(
            "commands.plot", f"report.plots.{wildcards.plot}"
        ),
    message:
        "Plot {wildcards.plot}"
    shell:
        LAUNCH
        + "plot {wildcards.plot} --design {input.design} --results {params.results}"
        " --settings {params.settings:q} --out {output.svg}"


rule configuration:
    output:
        FILES.configuration,
    log:
        FILES.log("configuration"),
    params:
        # A function, because Snakemake would take `{x}` in a text for a wildcard.
        content=lambda wildcards: load.results_of(STUDY),
    message:
        f"Write down the configuration of {STUDY.name}"
    run:
        copied.note_written(STUDY.name, f"{params.content}\n")
        load.write_down(params.content, output[0], log[0])


rule report:
    input:
        design=FILES.design,
        configuration=FILES.configuration,
        statistics=rules.statistics.output,
        plots=expand(
            FILES.plot("{plot}", "{kind}"),
            plot=plots.of_study(DESIGN),
            kind=["svg", "png"],
        ),
        metrics=METRICS_OF_TRAINING,
        cards=[FILES.data(name, "card.json") for name in dag.preferences_used(STUDY)],
        table=expand(FILES.items("{vertical}"), vertical=VERTICALS),
        attributions=[
            FILES.attribution(model_id, vertical)
            for model_id, wanted in ATTRIBUTED.items()
            for vertical in wanted
        ],
        records=records_of(),
        replies=expand(
            FILES.replies("{policy}", "{vertical}"),
            policy=POLICIES,
            vertical=VERTICALS,
        ),
    output:
        page=report(FILES.report, caption="../report/report.rst", category="Report"),
        tables=report(
            directory(FILES.tables),
            patterns=["{table}.csv"],
            caption="../report/tables.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        FILES.log("report"),
    benchmark:
        FILES.benchmark("report")
    conda:
        ENVS / "report.yaml"
    threads: 1
    resources:
        **resources_of("report"),
    params:
        settings=lambda wildcards: STUDY.report.page.as_json(),
        results=subpath(input.design, parent=True),
        code=code_of(
            "commands.report", *(f"verticals.{vertical}" for vertical in VERTICALS)
        ),
        templates=content_of("report/templates"),
    message:
        f"Report of {STUDY.name}: {{output.page}}"
    shell:
        LAUNCH + "report --design {input.design} --results {params.results}"
        " --configuration {input.configuration}"
        " --settings {params.settings:q} --out {output.page} --tables {output.tables}"

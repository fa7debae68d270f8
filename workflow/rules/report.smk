# Plots, one job each, and the page that holds them.

METRICS_OF_TRAINING = [
    f"{MODELS}/{model_id}/metrics.jsonl" for model_id in dag.models_needed(STUDY)
]
PLOT_INPUTS = {
    "statistics": rules.statistics.output,
    "metrics": METRICS_OF_TRAINING,
}


rule plot:
    input:
        lambda wildcards: PLOT_INPUTS[plots.module(wildcards.plot).NEEDS],
        design=f"{RESULTS}/design.json",
    output:
        svg=report(
            f"{RESULTS}/plots/{{plot}}.svg",
            caption="../report/plot.rst",
            category="Plots",
            labels={"plot": "{plot}"},
        ),
        png=f"{RESULTS}/plots/{{plot}}.png",
    log:
        f"{LOGS}/plots/{{plot}}.log",
    benchmark:
        f"{BENCHMARKS}/plots/{{plot}}.tsv"
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
        f"{RESULTS}/configuration.json",
    log:
        f"{LOGS}/configuration.log",
    params:
        content=load.results_of(STUDY),
    message:
        "Write down the configuration of {STUDY.name}"
    run:
        load.write_down(params.content, output[0], log[0])


rule report:
    input:
        design=f"{RESULTS}/design.json",
        configuration=f"{RESULTS}/configuration.json",
        statistics=rules.statistics.output,
        plots=expand(
            f"{RESULTS}/plots/{{plot}}.{{kind}}",
            plot=plots.of_study(DESIGN),
            kind=["svg", "png"],
        ),
        metrics=METRICS_OF_TRAINING,
        cards=[
            f"{RESULTS}/data/{name}/card.json" for name in dag.preferences_used(STUDY)
        ],
        table=expand(f"{RESULTS}/items/{{vertical}}.parquet", vertical=VERTICALS),
        replies=expand(
            f"{RESULTS}/replies/{{policy}}/{{vertical}}.parquet",
            policy=POLICIES,
            vertical=VERTICALS,
        ),
    output:
        page=report(
            f"{RESULTS}/report.html", caption="../report/report.rst", category="Report"
        ),
        tables=directory(f"{RESULTS}/tables"),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    conda:
        ENVS / "report.yaml"
    threads: 1
    resources:
        **resources_of("report"),
    params:
        settings=STUDY.report.page.as_json(),
        results=subpath(input.design, parent=True),
        code=code_of(
            "commands.report", *(f"verticals.{vertical}" for vertical in VERTICALS)
        ),
        templates=content_of("report/templates"),
    message:
        "Report of {STUDY.name}: {output.page}"
    shell:
        LAUNCH + "report --design {input.design} --results {params.results}"
        " --configuration {input.configuration}"
        " --settings {params.settings:q} --out {output.page} --tables {output.tables}"

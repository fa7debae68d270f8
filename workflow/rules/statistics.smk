# From per-item records to metrics and paired differences.


rule study:
    output:
        cells=f"{RESULTS}/study.json",
        configuration=f"{RESULTS}/configuration.json",
    params:
        cells=COMPARISONS.as_json(),
        configuration=STUDY.as_json(),
    message:
        "Write down what the study {STUDY.name} compares"
    run:
        Path(output.cells).write_text(params.cells)
        Path(output.configuration).write_text(params.configuration)


rule statistics:
    input:
        cells=f"{RESULTS}/study.json",
        records=records_of(),
    output:
        metrics=f"{RESULTS}/statistics/metrics.csv",
        differences=f"{RESULTS}/statistics/differences.csv",
        seeds=f"{RESULTS}/statistics/seeds.csv",
    log:
        f"{LOGS}/statistics.log",
    benchmark:
        f"{BENCHMARKS}/statistics.tsv"
    conda:
        ENVS / "report.yaml"
    threads: 1
    resources:
        **asks("statistics"),
    params:
        settings=STUDY.statistics.as_json(),
        records=f"{RESULTS}/records",
        code=code_of(
            "commands.statistics", *(f"verticals.{vertical}" for vertical in VERTICALS)
        ),
        out=subpath(output.metrics, parent=True),
    message:
        "Statistics of {STUDY.name}"
    shell:
        LAUNCH + "statistics --study {input.cells} --records-root {params.records}"
        " --settings {params.settings:q} --out {params.out}"

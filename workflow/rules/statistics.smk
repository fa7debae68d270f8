# From per-item records to metrics and paired differences.


rule study:
    output:
        f"{RESULTS}/study.json",
    log:
        f"{LOGS}/study.log",
    params:
        content=COMPARISONS.as_json(),
    message:
        "Write down what the study {STUDY.name} compares"
    run:
        load.write_down(params.content, output[0], log[0])


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
        results=subpath(input.cells, parent=True),
        code=code_of(
            "commands.statistics", *(f"verticals.{vertical}" for vertical in VERTICALS)
        ),
        out=subpath(output.metrics, parent=True),
    message:
        "Statistics of {STUDY.name}"
    shell:
        LAUNCH
        + "statistics --study {input.cells} --records-root {params.results}/records"
        " --settings {params.settings:q} --out {params.out}"

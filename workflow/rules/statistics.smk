# From per-item records to metrics and paired differences.


rule design:
    output:
        f"{RESULTS}/design.json",
    log:
        f"{LOGS}/design.log",
    params:
        content=DESIGN.as_json(),
    message:
        "Write the design of {STUDY.name}"
    run:
        load.write_down(params.content, output[0], log[0])


rule statistics:
    input:
        design=f"{RESULTS}/design.json",
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
        **resources_of("statistics"),
    params:
        settings=STUDY.statistics.as_json(),
        results=subpath(input.design, parent=True),
        code=code_of(
            "commands.statistics", *(f"verticals.{vertical}" for vertical in VERTICALS)
        ),
        out=subpath(output.metrics, parent=True),
    message:
        "Statistics of {STUDY.name}"
    shell:
        LAUNCH
        + "statistics --design {input.design} --records-root {params.results}/records"
        " --settings {params.settings:q} --out {params.out}"

# Computes metrics and paired differences from records.


rule design:
    output:
        FILES.design,
    log:
        FILES.log("design"),
    params:
        # A function, because Snakemake would take `{x}` in a text for a wildcard.
        content=lambda wildcards: DESIGN.as_json(),
    message:
        f"Write the design of {STUDY.name}"
    run:
        load.write_down(params.content, output[0], log[0])


rule statistics:
    input:
        design=FILES.design,
        records=records_of(),
        sources=SOURCES.labels,
    output:
        metrics=FILES.statistics("metrics"),
        differences=FILES.statistics("differences"),
        seeds=FILES.statistics("seeds"),
    log:
        FILES.log("statistics"),
    benchmark:
        FILES.benchmark("statistics")
    conda:
        ENVS / "report.yaml"
    threads: 1
    resources:
        **resources_of("statistics"),
    params:
        settings=STUDY.statistics.as_json(),
        content=content_of_sources(SOURCES.labels),
        results=subpath(input.design, parent=True),
        code=code_of(
            "commands.statistics", *(f"verticals.{vertical}" for vertical in VERTICALS)
        ),
        out=subpath(output.metrics, parent=True),
        labels=f"--labels {shlex.quote(STUDY.labels)}" if STUDY.labels else "",
    message:
        f"Statistics of {STUDY.name}"
    shell:
        LAUNCH_WITH_SOURCES
        + "statistics --design {input.design} --results {params.results}"
        " --settings {params.settings:q} --out {params.out} {params.labels}"

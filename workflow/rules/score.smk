# Converts replies to records of items. It needs no model and no GPU.


rule score:
    input:
        digest=FILES.items_digest("{vertical}"),
        table=ancient(FILES.items("{vertical}")),
        replies=FILES.replies("{policy}", "{vertical}"),
        sources=lambda wildcards: SOURCES.scores[wildcards.vertical],
    output:
        FILES.records("{policy}", "{vertical}"),
    log:
        FILES.log("records", "{policy}", "{vertical}"),
    benchmark:
        FILES.benchmark("records", "{policy}", "{vertical}")
    conda:
        ENVS / "score.yaml"
    threads: request.threads(STUDY, "score")
    resources:
        **resources_of("score"),
    params:
        threads=STUDY.threads.of("score"),
        settings=lambda wildcards: VERTICALS[wildcards.vertical].score.as_json(),
        content=lambda wildcards: content_of_sources(SOURCES.scores[wildcards.vertical]),
        code=lambda wildcards: code_of_verticals("commands.score", wildcards.vertical),
    message:
        "Score {wildcards.policy} on {wildcards.vertical}"
    shell:
        LAUNCH_WITH_THREADS_AND_SOURCES
        + "score {wildcards.vertical} --items {input.table} --replies {input.replies}"
        " --settings {params.settings:q} --out {output}"

# The items of a vertical, which are the same for every model.


rule items:
    input:
        sources=lambda wildcards: SOURCES.items[wildcards.vertical],
    output:
        table=FILES.items("{vertical}"),
        card=FILES.items_card("{vertical}"),
        digest=FILES.items_digest("{vertical}"),
    log:
        FILES.log("items", "{vertical}"),
    benchmark:
        FILES.benchmark("items", "{vertical}")
    conda:
        ENVS / "data.yaml"
    threads: 1
    resources:
        **resources_of("items"),
    params:
        settings=lambda wildcards: VERTICALS[wildcards.vertical].items.as_json(),
        content=lambda wildcards: content_of_sources(SOURCES.items[wildcards.vertical]),
        code=lambda wildcards: code_of(
            "commands.items", f"verticals.{wildcards.vertical}"
        ),
    message:
        "Items of {wildcards.vertical}"
    shell:
        LAUNCH_WITH_SOURCES
        + "items {wildcards.vertical} --settings {params.settings:q}"
        " --out {output.table} --card {output.card} --digest {output.digest}"

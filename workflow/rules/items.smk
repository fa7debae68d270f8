# The questions of a vertical, made once and asked of every model.


rule items:
    input:
        lambda wildcards: ITEM_FILES[wildcards.vertical],
    output:
        table=f"{RESULTS}/items/{{vertical}}.parquet",
        card=f"{RESULTS}/items/{{vertical}}.card.json",
    log:
        f"{LOGS}/items/{{vertical}}.log",
    benchmark:
        f"{BENCHMARKS}/items/{{vertical}}.tsv"
    conda:
        ENVS / "score.yaml"
    threads: 1
    resources:
        **resources_of("items"),
    params:
        settings=lambda wildcards: VERTICALS[wildcards.vertical].items.as_json(),
        code=lambda wildcards: code_of(
            "commands.items", f"verticals.{wildcards.vertical}"
        ),
    message:
        "Items of {wildcards.vertical}"
    shell:
        LAUNCH + "items {wildcards.vertical} --settings {params.settings:q}"
        " --out {output.table} --card {output.card}"

# The questions of a vertical, made once and asked of every model.


rule items:
    input:
        lambda wildcards: dag.item_files(STUDY, wildcards.vertical),
    output:
        items=f"{RESULTS}/items/{{vertical}}.parquet",
        card=f"{RESULTS}/items/{{vertical}}.card.json",
    log:
        f"{LOGS}/items/{{vertical}}.log",
    benchmark:
        f"{BENCHMARKS}/items/{{vertical}}.tsv"
    conda:
        ENVS / "score.yaml"
    threads: 1
    resources:
        **asks("items"),
    params:
        settings=lambda wildcards: VERTICALS[wildcards.vertical].items.as_json(),
        code=lambda wildcards: code_of(
            "commands.items", f"verticals.{wildcards.vertical}"
        ),
    message:
        "Items of {wildcards.vertical}"
    shell:
        "python -m trustdag items {wildcards.vertical} --settings {params.settings:q}"
        " --out {output.items} --card {output.card} > {log} 2>&1"

# Replies to per-item records: no model, no GPU, repeated at will.


rule score:
    input:
        table=f"{RESULTS}/items/{{vertical}}.parquet",
        replies=f"{RESULTS}/replies/{{policy}}/{{vertical}}.parquet",
        files=lambda wildcards: VERTICALS[wildcards.vertical].score.files(),
    output:
        f"{RESULTS}/records/{{policy}}/{{vertical}}.parquet",
    log:
        f"{LOGS}/records/{{policy}}/{{vertical}}.log",
    benchmark:
        f"{BENCHMARKS}/records/{{policy}}/{{vertical}}.tsv"
    conda:
        ENVS / "score.yaml"
    threads: 1
    resources:
        **resources_of("score"),
    params:
        settings=lambda wildcards: VERTICALS[wildcards.vertical].score.as_json(),
        code=lambda wildcards: code_of(
            "commands.score", f"verticals.{wildcards.vertical}"
        ),
    message:
        "Score {wildcards.policy} on {wildcards.vertical}"
    shell:
        LAUNCH
        + "score {wildcards.vertical} --items {input.table} --replies {input.replies}"
        " --settings {params.settings:q} --out {output}"

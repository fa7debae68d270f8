# A model's raw replies to a vertical's items: stored once, scored as often as wanted.


rule generate:
    input:
        manifest=f"{MODELS}/{{policy}}/manifest.json",
        items=f"{RESULTS}/items/{{vertical}}.parquet",
    output:
        f"{RESULTS}/replies/{{policy}}/{{vertical}}.parquet",
    log:
        f"{LOGS}/replies/{{policy}}/{{vertical}}.log",
    benchmark:
        f"{BENCHMARKS}/replies/{{policy}}/{{vertical}}.tsv"
    conda:
        ENVS / "generate.yaml"
    threads: resources.threads(STUDY, "generate")
    resources:
        **asks("generate"),
    params:
        settings=lambda wildcards: VERTICALS[wildcards.vertical].generate.as_json(),
        style=lambda wildcards: STUDY.models[wildcards.policy.split("/")[0]].format,
        code=code_of("commands.generate"),
    message:
        "Ask {wildcards.policy} about {wildcards.vertical}"
    shell:
        "python -m trustdag generate {wildcards.vertical} --items {input.items} --model {input.manifest}"
        " --settings {params.settings:q} --format {params.style} --out {output} > {log} 2>&1"

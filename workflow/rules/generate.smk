# A model's raw replies to each vertical's items: stored once, scored as often as wanted.
#
# `ask` loads a model once and answers all its pending verticals: one queue wait, one GPU job. `generate` then puts each
# vertical's replies in their place; it does not look at when `ask` ran (ancient), only at what its own vertical depends
# on, so a change of one vertical asks and re-scores that one alone.


rule ask:
    input:
        manifest=f"{MODELS}/{{policy}}/manifest.json",
        table=expand(f"{RESULTS}/items/{{vertical}}.parquet", vertical=VERTICALS),
    output:
        f"{RESULTS}/staging/{{policy}}/done",
    log:
        f"{LOGS}/ask/{{policy}}.log",
    benchmark:
        f"{BENCHMARKS}/ask/{{policy}}.tsv"
    conda:
        ENVS / "generate.yaml"
    threads: resources.threads(STUDY, "ask")
    resources:
        **asks("ask"),
    params:
        verticals=json.dumps(
            {
                name: json.loads(each.generate.as_json())
                for name, each in VERTICALS.items()
            }
        ),
        style=lambda wildcards: STUDY.models[wildcards.policy.split("/")[0]].format,
        code=code_of("generate.run"),
    message:
        "Ask {wildcards.policy} all pending verticals"
    shell:
        LAUNCH
        + "ask --verticals {params.verticals:q} --items {input.table} --model {input.manifest}"
        " --format {params.style} --done {output}"


rule generate:
    input:
        asked=ancient(f"{RESULTS}/staging/{{policy}}/done"),
        manifest=f"{MODELS}/{{policy}}/manifest.json",
        table=f"{RESULTS}/items/{{vertical}}.parquet",
    output:
        f"{RESULTS}/replies/{{policy}}/{{vertical}}.parquet",
    log:
        f"{LOGS}/replies/{{policy}}/{{vertical}}.log",
    benchmark:
        f"{BENCHMARKS}/replies/{{policy}}/{{vertical}}.tsv"
    conda:
        ENVS / "generate.yaml"
    threads: 1
    resources:
        **asks("generate"),
    params:
        settings=lambda wildcards: VERTICALS[wildcards.vertical].generate.as_json(),
        style=lambda wildcards: STUDY.models[wildcards.policy.split("/")[0]].format,
        staging=subpath(input.asked, parent=True),
        code=code_of("generate.run"),
    message:
        "Replies of {wildcards.policy} on {wildcards.vertical}"
    shell:
        LAUNCH
        + "collect {wildcards.vertical} --items {input.table} --model {input.manifest}"
        " --settings {params.settings:q} --format {params.style} --staging {params.staging} --out {output}"

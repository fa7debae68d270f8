# A model's raw replies to each vertical's items: stored once, scored as often as wanted.
#
# `ask` loads a model once and answers all its pending verticals: one queue wait, one GPU job. `generate` then puts each
# vertical's replies in their place; it does not look at when `ask` ran (ancient), only at what its own vertical depends
# on, so a change of one vertical asks and re-scores that one alone.
#
# The mark that `ask` leaves for a vertical bears a digest of how its replies are sampled. Another sampling is a mark that
# is missing: nothing else would do, because Snakemake does not look at the params of jobs behind one that runs anyway,
# and does not run those behind an ancient file that is there. So `ask` tracks no param (its functions take the input).
MARKS = {
    vertical: f"{vertical}-{dag.sampling(STUDY, vertical)}" for vertical in VERTICALS
}


rule ask:
    input:
        manifest=f"{MODELS}/{{policy}}/manifest.json",
        table=expand(f"{RESULTS}/items/{{vertical}}.parquet", vertical=VERTICALS),
    output:
        [f"{RESULTS}/staging/{{policy}}/{mark}.done" for mark in MARKS.values()],
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
        verticals=lambda wildcards, input: json.dumps(
            {
                name: json.loads(each.generate.as_json())
                for name, each in VERTICALS.items()
            }
        ),
        style=lambda wildcards, input: STUDY.models[
            wildcards.policy.split("/")[0]
        ].format,
        code=lambda wildcards, input: code_of("generate.run"),
    message:
        "Ask {wildcards.policy} all pending verticals"
    shell:
        LAUNCH
        + "ask --verticals {params.verticals:q} --items {input.table} --model {input.manifest}"
        " --format {params.style} --done {output}"


rule generate:
    input:
        asked=ancient(
            lambda wildcards: f"{RESULTS}/staging/{wildcards.policy}/{MARKS[wildcards.vertical]}.done"
        ),
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
        settings=lambda wildcards, input: VERTICALS[
            wildcards.vertical
        ].generate.as_json(),
        style=lambda wildcards: STUDY.models[wildcards.policy.split("/")[0]].format,
        staging=subpath(input.asked, parent=True),
        code=code_of("generate.run"),
    message:
        "Replies of {wildcards.policy} on {wildcards.vertical}"
    shell:
        LAUNCH
        + "collect {wildcards.vertical} --items {input.table} --model {input.manifest}"
        " --settings {params.settings:q} --format {params.style} --staging {params.staging} --out {output}"

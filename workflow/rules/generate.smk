# A model's raw replies to one vertical's items: stored once, scored as often as wanted.
#
# One job for each model and vertical. Snakemake sees each input of each reply file, so an edit of one vertical
# generates and scores that vertical alone, and no edit is masked by another.


rule generate:
    input:
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
    threads: request.threads(STUDY, "generate")
    resources:
        **resources_of("generate"),
    params:
        # Tracked by Snakemake: all that the replies depend on, without the size of a batch, which changes none.
        settings=lambda wildcards: dag.sampling_settings(STUDY, wildcards.vertical),
        prompt_format=lambda wildcards: STUDY.models[
            ModelId.parse(wildcards.policy).model
        ].prompt_format,
        # A function of the input is not tracked.
        batch_tokens=lambda wildcards, input: VERTICALS[
            wildcards.vertical
        ].generate.batch_tokens,
        code=code_of("generation.run"),
    message:
        "Generate the replies of {wildcards.policy} on {wildcards.vertical}"
    shell:
        LAUNCH
        + "generate {wildcards.vertical} --items {input.table} --model {input.manifest}"
        " --settings {params.settings:q} --batch-tokens {params.batch_tokens}"
        " --prompt-format {params.prompt_format} --out {output}"

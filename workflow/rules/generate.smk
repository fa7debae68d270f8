# A model's raw replies to one vertical's items: stored once, scored as often as wanted.
#
# One job for each model and vertical. Snakemake sees each input of each reply file, so an edit of one vertical
# generates and scores that vertical alone, and no edit is masked by another.


rule generate:
    input:
        model=FILES.model("{policy}", "digest.txt"),
        digest=FILES.items_digest("{vertical}"),
        # Its digest says whether it changed: Snakemake compares the content of small files alone.
        table=ancient(FILES.items("{vertical}")),
    output:
        FILES.replies("{policy}", "{vertical}"),
    log:
        FILES.log("replies", "{policy}", "{vertical}"),
    benchmark:
        FILES.benchmark("replies", "{policy}", "{vertical}")
    conda:
        ENVS / "train.yaml"
    threads: request.threads(STUDY, "generate")
    resources:
        **resources_of("generate"),
    params:
        threads=STUDY.threads.of("generate"),
        # Tracked by Snakemake: all settings that the replies depend on.
        tracked=lambda wildcards: VERTICALS[wildcards.vertical].generate.results_json(),
        # A function of the input is not tracked: with the size of a batch, which changes no reply.
        settings=lambda wildcards, input: VERTICALS[
            wildcards.vertical
        ].generate.as_json(),
        prompt_format=lambda wildcards: STUDY.models[
            ModelId.parse(wildcards.policy).model
        ].prompt_format,
        code=code_of("generation.run"),
    message:
        "Generate the replies of {wildcards.policy} on {wildcards.vertical}"
    shell:
        LAUNCH_WITH_THREADS
        + "generate {wildcards.vertical} --items {input.table} --model {input.model}"
        " --settings {params.settings:q} --prompt-format {params.prompt_format} --out {output}"

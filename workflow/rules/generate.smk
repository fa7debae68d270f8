# A model's raw replies to one vertical's items. They are generated once and can be scored again.
#
# There is one job for each model and vertical. Snakemake tracks each input of each file of replies. So an edit of a
# vertical re-runs only that vertical, and no edit hides another.


rule generate:
    input:
        model=FILES.model("{policy}", "digest.txt"),
        digest=FILES.items_digest("{vertical}"),
        # Another input is its digest, which changes with it. Snakemake compares the content of small files only.
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

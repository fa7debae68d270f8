# Base models and existing checkpoints: from the hub, a folder, or trained from scratch.


rule base:
    input:
        unpack(corpus_of),
        sources=lambda wildcards: SOURCES.models[external_model(wildcards)],
    output:
        model=directory(FILES.model(EXTERNAL_PATTERN, "model")),
        manifest=FILES.model(EXTERNAL_PATTERN, "manifest.json"),
        digest=FILES.model(EXTERNAL_PATTERN, "digest.txt"),
        metrics=FILES.model(EXTERNAL_PATTERN, "metrics.jsonl"),
    log:
        text=FILES.log("models", EXTERNAL_PATTERN),
        benchmark=FILES.benchmark("models", EXTERNAL_PATTERN),
    wildcard_constraints:
        external="[^/]+",
    cache: CACHED
    conda:
        ENVS / "train.yaml"
    threads: request.threads(STUDY, "base")
    resources:
        **resources_of("base"),
        # A parameter would be part of the key of the cache that studies share.
        tracking=lambda wildcards: tracking_of(external_model(wildcards)),
    params:
        threads=STUDY.threads.of("base"),
        content=lambda wildcards: content_of_sources(
            SOURCES.models[external_model(wildcards)]
        ),
        # Tracked by Snakemake: all settings that the weights depend on.
        tracked=lambda wildcards: dag.base_source(
            STUDY, external_model(wildcards)
        ).results_json(),
        # A function of the input is not tracked: with how often training logs and saves.
        settings=lambda wildcards, input: dag.base_source(
            STUDY, external_model(wildcards)
        ).as_json(),
        prompt_format=lambda wildcards: STUDY.models[wildcards.model].prompt_format,
        code=code_of("commands.base"),
    message:
        "Base model {wildcards.model} ({wildcards.external})"
    shell:
        LAUNCH_WITH_THREADS_AND_SOURCES
        + "base --settings {params.settings:q} --tracking {resources.tracking:q} --corpus {input.corpus}"
        " --prompt-format {params.prompt_format} --out $(dirname {output.manifest}) --benchmark {log.benchmark}"

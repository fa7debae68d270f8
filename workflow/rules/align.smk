# Training stages: one rule for each method of the study. The rules differ only in their name, which job lists show.

for method in dag.methods_used(STUDY):

    rule:
        name:
            method
        input:
            unpack(parent_digests),
            data=FILES.data("{preferences}", "digest.txt"),
            # `data` is their digest, which changes with them. Snakemake compares the content of small files only.
            train=ancient(FILES.data("{preferences}", "train.parquet")),
            validation=ancient(FILES.data("{preferences}", "validation.parquet")),
        output:
            model=directory(FILES.model(TRAINED_PATTERN, "model")),
            manifest=FILES.model(TRAINED_PATTERN, "manifest.json"),
            digest=FILES.model(TRAINED_PATTERN, "digest.txt"),
            metrics=FILES.model(TRAINED_PATTERN, "metrics.jsonl"),
        log:
            text=FILES.log("models", TRAINED_PATTERN),
            benchmark=FILES.benchmark("models", TRAINED_PATTERN),
        wildcard_constraints:
            chain=dag.chain_pattern(STUDY, method),
        cache: CACHED
        conda:
            ENVS / "train.yaml"
        threads: request.threads(STUDY, method)
        resources:
            **resources_of(method),
            # A parameter would be part of the key of the cache that studies share.
            tracking=lambda wildcards: tracking_of(trained_model(wildcards)),
        params:
            threads=STUDY.threads.of(method),
            # Tracked by Snakemake: all settings that the weights depend on.
            tracked=lambda wildcards: stage_settings(wildcards).results_json(),
            # A function of the input is not tracked: with how often the stage logs and saves.
            settings=lambda wildcards, input: stage_settings(wildcards).as_json(),
            prompt_format=lambda wildcards: STUDY.models[wildcards.model].prompt_format,
            code=code_of("commands.align", f"align.{method}"),
            method=method,
            seed="{seed}",
        message:
            "{params.method}: {wildcards.model}, {wildcards.chain} on {wildcards.preferences}, seed {wildcards.seed}"
        shell:
            LAUNCH_WITH_THREADS + "align {params.method}"
            " --policy {input.policy} --reward {input.reward} --data $(dirname {input.data})"
            " --settings {params.settings:q} --tracking {resources.tracking:q} --seed {params.seed} --prompt-format {params.prompt_format}"
            " --out $(dirname {output.manifest}) --benchmark {log.benchmark}"

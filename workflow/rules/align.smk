# Every training stage: one rule for each method of the study, alike but for its name, so that pending jobs say what they are.

for method in dag.methods_used(STUDY):

    rule:
        name:
            method
        input:
            unpack(parent_manifests),
            train=f"{RESULTS}/data/{{preferences}}/train.parquet",
            validation=f"{RESULTS}/data/{{preferences}}/validation.parquet",
        output:
            model=directory(
                f"{MODELS}/{{model}}/{{preferences}}/{{chain}}/seed{{seed}}/model"
            ),
            manifest=f"{MODELS}/{{model}}/{{preferences}}/{{chain}}/seed{{seed}}/manifest.json",
            metrics=f"{MODELS}/{{model}}/{{preferences}}/{{chain}}/seed{{seed}}/metrics.jsonl",
        log:
            text=f"{LOGS}/models/{{model}}/{{preferences}}/{{chain}}/seed{{seed}}.log",
            benchmark=f"{BENCHMARKS}/models/{{model}}/{{preferences}}/{{chain}}/seed{{seed}}.tsv",
        wildcard_constraints:
            chain=dag.chain_pattern(STUDY, method),
        cache: CACHED
        conda:
            ENVS / "train.yaml"
        threads: request.threads(STUDY, method)
        resources:
            **resources_of(method),
        params:
            settings=lambda wildcards: dag.stage_settings_json(
                STUDY, trained_model(wildcards)
            ),
            prompt_format=lambda wildcards: STUDY.models[wildcards.model].prompt_format,
            code=code_of("commands.align", f"align.{method}"),
            method=method,
            seed="{seed}",
        message:
            "{params.method}: {wildcards.model}, {wildcards.chain} on {wildcards.preferences}, seed {wildcards.seed}"
        shell:
            LAUNCH + "align {params.method}"
            " --policy {input.policy} --reward {input.reward} --data $(dirname {input.train})"
            " --settings {params.settings:q} --seed {params.seed} --prompt-format {params.prompt_format}"
            " --out $(dirname {output.manifest}) --benchmark {log.benchmark}"

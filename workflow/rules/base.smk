# Models that enter the study: base models and existing checkpoints, from the hub, a folder, or trained from scratch.


rule base:
    input:
        corpus=lambda wildcards: corpus_of(wildcards),
        files=lambda wildcards: MODEL_FILES[external_model(wildcards)],
    output:
        model=directory(f"{MODELS}/{{model}}/{{external}}/model"),
        manifest=f"{MODELS}/{{model}}/{{external}}/manifest.json",
        metrics=f"{MODELS}/{{model}}/{{external}}/metrics.jsonl",
    log:
        text=f"{LOGS}/models/{{model}}/{{external}}.log",
        benchmark=f"{BENCHMARKS}/models/{{model}}/{{external}}.tsv",
    wildcard_constraints:
        external="[^/]+",
    cache: CACHED
    conda:
        ENVS / "train.yaml"
    threads: request.threads(STUDY, "base")
    resources:
        **resources_of("base"),
    params:
        settings=lambda wildcards: dag.base_source(
            STUDY, external_model(wildcards)
        ).as_json(),
        prompt_format=lambda wildcards: STUDY.models[wildcards.model].prompt_format,
        code=code_of("commands.base"),
    message:
        "Base model {wildcards.model} ({wildcards.external})"
    shell:
        LAUNCH + "base --settings {params.settings:q} --corpus {input.corpus}"
        " --prompt-format {params.prompt_format} --out $(dirname {output.manifest}) --benchmark {log.benchmark}"

# Models that enter the study: base models and existing checkpoints, from the hub, a folder, or trained from scratch.


rule base:
    input:
        corpus=lambda wildcards: corpus_of(wildcards),
        files=lambda wildcards: MODEL_FILES[given_node(wildcards)],
    output:
        model=directory(f"{MODELS}/{{model}}/{{given}}/model"),
        manifest=f"{MODELS}/{{model}}/{{given}}/manifest.json",
        metrics=f"{MODELS}/{{model}}/{{given}}/metrics.jsonl",
    log:
        text=f"{LOGS}/models/{{model}}/{{given}}.log",
        benchmark=f"{BENCHMARKS}/models/{{model}}/{{given}}.tsv",
    wildcard_constraints:
        given="[^/]+",
    cache: CACHED
    conda:
        ENVS / "train.yaml"
    threads: resources.threads(STUDY, "base")
    resources:
        **asks("base"),
    params:
        settings=lambda wildcards: dag.base_source(
            STUDY, given_node(wildcards)
        ).as_json(),
        style=lambda wildcards: STUDY.models[wildcards.model].format,
        code=code_of("commands.base"),
    message:
        "Base model {wildcards.model} ({wildcards.given})"
    shell:
        LAUNCH + "base --settings {params.settings:q} --corpus {input.corpus}"
        " --format {params.style} --out $(dirname {output.manifest}) --benchmark {log.benchmark}"

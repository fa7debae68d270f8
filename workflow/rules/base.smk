# Models that enter the study: base models and existing checkpoints, from the hub, a folder, or trained from scratch.


rule base:
    input:
        lambda wildcards: corpus_of(wildcards),
    output:
        model=directory(f"{MODELS}/{{model}}/{{given}}/model"),
        manifest=f"{MODELS}/{{model}}/{{given}}/manifest.json",
        metrics=f"{MODELS}/{{model}}/{{given}}/metrics.jsonl",
    log:
        f"{LOGS}/models/{{model}}/{{given}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}/{{given}}.tsv"
    wildcard_constraints:
        given="[^/]+",
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
        corpus=lambda wildcards, input: f"--corpus {input[0]}" if input else "",
        code=code_of("commands.base"),
        out=subpath(output.manifest, parent=True),
    message:
        "Base model {wildcards.model} ({wildcards.given})"
    shell:
        "python -m trustdag base --settings {params.settings:q} {params.corpus}"
        " --format {params.style} --out {params.out} > {log} 2>&1"

# Models that enter the study: base models and existing checkpoints, from the hub, a folder, or trained from scratch.


rule base:
    input:
        lambda wildcards: corpus_of(given_node(wildcards)),
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
    threads: resources.threads(STUDY, "base")
    resources:
        **asks("base"),
    params:
        settings=lambda wildcards: dag.base_source(STUDY, given_node(wildcards)).as_json(),
        style=lambda wildcards: STUDY.models[wildcards.model].format,
        kind=lambda wildcards: dag.kind(STUDY, given_node(wildcards)),
        corpus=lambda wildcards, input: f"--corpus {input[0]}" if input else "",
        code=code_of("commands.base"),
        out=subpath(output.manifest, parent=True),
    conda:
        ENVS / "train.yaml"
    message:
        "Base model {wildcards.model} ({wildcards.given})"
    shell:
        "python -m trustdag base --settings {params.settings:q} {params.corpus}"
        " --format {params.style} --kind {params.kind} --out {params.out} > {log} 2>&1"

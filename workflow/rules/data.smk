# Preference data: read, checked, split by prompt, with its data card.


rule prepare:
    input:
        lambda wildcards: dag.preference_files(STUDY, wildcards.preferences),
    output:
        train=f"{RESULTS}/data/{{preferences}}/train.parquet",
        validation=f"{RESULTS}/data/{{preferences}}/validation.parquet",
        test=f"{RESULTS}/data/{{preferences}}/test.parquet",
        corpus=f"{RESULTS}/data/{{preferences}}/corpus.parquet",
        card=f"{RESULTS}/data/{{preferences}}/card.json",
    log:
        f"{LOGS}/data/{{preferences}}.log",
    benchmark:
        f"{BENCHMARKS}/data/{{preferences}}.tsv"
    conda:
        ENVS / "data.yaml"
    threads: 1
    resources:
        **asks("prepare"),
    params:
        settings=lambda wildcards: STUDY.preferences[wildcards.preferences].as_json(),
        code=code_of("commands.prepare", *dag.preference_modules(STUDY)),
        out=subpath(output.card, parent=True),
    message:
        "Prepare the preference data {wildcards.preferences}"
    shell:
        "python -m trustdag prepare --settings {params.settings:q} --out {params.out} > {log} 2>&1"

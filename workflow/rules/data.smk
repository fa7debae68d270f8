# Preference data: read, checked, split by prompt, with its data card.


rule prepare:
    input:
        lambda wildcards: PREFERENCE_FILES[wildcards.preferences],
    output:
        train=f"{RESULTS}/data/{{preferences}}/train.parquet",
        validation=f"{RESULTS}/data/{{preferences}}/validation.parquet",
        test=f"{RESULTS}/data/{{preferences}}/test.parquet",
        corpus=f"{RESULTS}/data/{{preferences}}/corpus.parquet",
        card=f"{RESULTS}/data/{{preferences}}/card.json",
    log:
        text=f"{LOGS}/data/{{preferences}}.log",
        benchmark=f"{BENCHMARKS}/data/{{preferences}}.tsv",
    cache: CACHED
    conda:
        ENVS / "data.yaml"
    threads: 1
    resources:
        **resources_of("prepare"),
    params:
        settings=lambda wildcards: STUDY.preferences[wildcards.preferences].as_json(),
        code=lambda wildcards: code_of(
            "commands.prepare",
            f"data.{STUDY.preferences[wildcards.preferences].source}",
        ),
    message:
        "Prepare the preference data {wildcards.preferences}"
    shell:
        LAUNCH
        + "prepare --settings {params.settings:q} --out $(dirname {output.card})"
        " --benchmark {log.benchmark}"

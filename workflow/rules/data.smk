# Preference data: reads and checks it, splits it by prompt, and writes its data card.


rule prepare:
    input:
        sources=lambda wildcards: SOURCES.preferences[wildcards.preferences],
    output:
        train=FILES.data("{preferences}", "train.parquet"),
        validation=FILES.data("{preferences}", "validation.parquet"),
        test=FILES.data("{preferences}", "test.parquet"),
        corpus=FILES.data("{preferences}", "corpus.parquet"),
        card=FILES.data("{preferences}", "card.json"),
        digest=FILES.data("{preferences}", "digest.txt"),
    log:
        text=FILES.log("data", "{preferences}"),
        benchmark=FILES.benchmark("data", "{preferences}"),
    wildcard_constraints:
        preferences="|".join(
            re.escape(name) for name in STUDY.preferences if name not in DERIVED
        ),
    cache: CACHED
    conda:
        ENVS / "data.yaml"
    threads: 1
    resources:
        **resources_of("prepare"),
    params:
        settings=lambda wildcards: STUDY.preferences[wildcards.preferences].as_json(),
        content=lambda wildcards: content_of_sources(
            SOURCES.preferences[wildcards.preferences]
        ),
        code=lambda wildcards: code_of(
            "commands.prepare",
            f"data.{STUDY.preferences[wildcards.preferences].source}",
        ),
    message:
        "Prepare the preference data {wildcards.preferences}"
    shell:
        LAUNCH_WITH_SOURCES
        + "prepare --settings {params.settings:q} --out $(dirname {output.card})"
        " --benchmark {log.benchmark}"


# A derived preference set: a random part of another one, or that set without the pairs that changed a vertical most.
if DERIVED:

    rule derive:
        input:
            unpack(parent_set),
        output:
            train=FILES.data("{preferences}", "train.parquet"),
            validation=FILES.data("{preferences}", "validation.parquet"),
            test=FILES.data("{preferences}", "test.parquet"),
            corpus=FILES.data("{preferences}", "corpus.parquet"),
            card=FILES.data("{preferences}", "card.json"),
            digest=FILES.data("{preferences}", "digest.txt"),
        log:
            text=FILES.log("data", "{preferences}"),
            benchmark=FILES.benchmark("data", "{preferences}"),
        wildcard_constraints:
            preferences="|".join(map(re.escape, DERIVED)),
        cache: CACHED
        conda:
            ENVS / "data.yaml"
        threads: 1
        resources:
            **resources_of("prepare"),
        params:
            settings=lambda wildcards: DERIVED[wildcards.preferences].as_json(),
            direction=lambda wildcards: direction_of(wildcards.preferences),
            code=code_of("commands.derive"),
        message:
            "Derive the preference data {wildcards.preferences}"
        shell:
            LAUNCH
            + "derive --settings {params.settings:q} --parent $(dirname {input.parent})"
            " --attribution {input.attribution} --direction {params.direction} --out $(dirname {output.card})"
            " --benchmark {log.benchmark}"

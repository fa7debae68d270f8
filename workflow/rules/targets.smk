# Targets by name: the study (`snakemake demo`), one model (`snakemake toy`), one vertical (`snakemake privacy`).


rule:
    name:
        STUDY.name
    input:
        f"{RESULTS}/report.html",
    message:
        "The study {STUDY.name}"


# What has to come from elsewhere, and nothing else: for a login node, where compute nodes have no network.
rule fetch:
    input:
        [
            f"{MODELS}/{model_id}/manifest.json"
            for model_id in dag.external_models(STUDY)
        ],
        [f"{RESULTS}/data/{name}/card.json" for name in PREFERENCE_FILES],
        [f"{RESULTS}/items/{vertical}.parquet" for vertical in VERTICALS],
    message:
        "Models and data of {STUDY.name}"


for target in STUDY.models:

    rule:
        name:
            target
        input:
            records_of(models=[target]),


for target in VERTICALS:

    rule:
        name:
            target
        input:
            records_of(verticals=[target]),

# Targets by name: the study (`snakemake demo`), one model (`snakemake toy`), one vertical (`snakemake privacy`).


rule:
    name:
        STUDY.name
    input:
        FILES.report,
    message:
        f"The study {STUDY.name}"


# Downloads of models and data only, for a login node if compute nodes have no network.
rule fetch:
    input:
        [FILES.model(model_id, "digest.txt") for model_id in dag.external_models(STUDY)],
        [FILES.data(name, "digest.txt") for name in SOURCES.preferences],
        [FILES.items(vertical) for vertical in VERTICALS],
    message:
        f"Models and data of {STUDY.name}"


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

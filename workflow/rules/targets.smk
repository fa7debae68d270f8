# Targets by name: the study (`snakemake demo`), one model (`snakemake toy`), one vertical (`snakemake privacy`).


rule:
    name:
        STUDY.name
    input:
        f"{RESULTS}/report.html",
    message:
        "The study {STUDY.name}"


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

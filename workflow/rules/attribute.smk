# Attribution of a policy's metrics to its training pairs: one job for a policy and all its verticals.

ATTRIBUTIONS = {
    str(model_id): dag.attribution_task(STUDY, model_id, wanted)
    for model_id, wanted in ATTRIBUTED.items()
}


def attribution_inputs(wildcards):
    """The inputs of an attribution job: models, pairs, and the items, replies and records of its verticals."""
    task = ATTRIBUTIONS[wildcards.policy]
    models = dag.models_of_task(task)
    data = FILES.data(task.preferences, "digest.txt")
    return {
        "models": [FILES.model(model, "digest.txt") for model in models],
        "data": data,
        "pairs": ancient(FILES.data(task.preferences, "train.parquet")),
        "digests": [FILES.items_digest(vertical) for vertical in task.verticals],
        "tables": [ancient(FILES.items(vertical)) for vertical in task.verticals],
        "replies": [
            FILES.replies(policy, vertical)
            for vertical in task.verticals
            for policy in dag.policies_of_task(task, vertical)
        ],
        "records": [
            FILES.records(policy, vertical)
            for vertical in task.verticals
            for policy in dag.policies_of_task(task, vertical)
        ],
    }


# Policies with the same verticals share a rule, because all jobs of a rule have the same kinds of outputs.
for verticals in sorted({tuple(task.verticals) for task in ATTRIBUTIONS.values()}):

    rule:
        name:
            f"attribute_{'_'.join(verticals)}"
        input:
            unpack(attribution_inputs),
        output:
            [FILES.attribution("{policy}", vertical) for vertical in verticals],
        log:
            FILES.log("attributions", "{policy}", "_".join(verticals)),
        benchmark:
            FILES.benchmark("attributions", "{policy}", "_".join(verticals))
        wildcard_constraints:
            policy="|".join(
                re.escape(policy)
                for policy, task in ATTRIBUTIONS.items()
                if tuple(task.verticals) == verticals
            ),
        conda:
            ENVS / "train.yaml"
        threads: request.threads(STUDY, "attribute")
        resources:
            **resources_of("attribute"),
        params:
            threads=STUDY.threads.of("attribute"),
            task=lambda wildcards: ATTRIBUTIONS[wildcards.policy].as_json(),
            results=FILES.root,
            code=code_of_verticals("attribution.run", *verticals),
        message:
            "Attribute {wildcards.policy} to its training pairs"
        shell:
            LAUNCH_WITH_THREADS
            + "attribute --task {params.task:q} --results {params.results}"

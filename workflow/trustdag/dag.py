"""The study as a graph: the models, their parents, and the evaluated ones. Writes no file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trustdag.align import methods
from trustdag.attribution.settings import VerticalAttribution
from trustdag.attribution.task import AttributionTask, PpoTask, VerticalTask
from trustdag.config.study import Study
from trustdag.data import sources
from trustdag.data.derived import Pruned
from trustdag.errors import UserError
from trustdag.layout import ModelId, chain_name, refuse_wildcards
from trustdag.models import base
from trustdag.settings import Section
from trustdag.stats import label_files as labels
from trustdag.stats.design import Policy, StudyDesign
from trustdag.verticals import verticals


@dataclass(frozen=True)
class EvaluatedModel:
    """An evaluated model with the name of its recipe."""

    recipe: str
    model: ModelId


def model_at(study: Study, model: str, preferences: str | None, chain: tuple[str, ...], seed: int | None) -> ModelId:
    """The model of a chain: a trained one; or the base or an existing checkpoint, which have no preferences or seed.

    Args:
        study: The study.
        model: Name of the base model.
        preferences: Name of the preference set.
        chain: The stages, first to last.
        seed: Training seed.
    """
    if not chain or chain_name(chain) in study.models[model].checkpoints:
        return ModelId(model, chain)
    return ModelId(model, chain, preferences, seed)


def evaluated_models(study: Study) -> list[EvaluatedModel]:
    """Every evaluated model once, ordered by model, preference set, seed and recipe."""
    evaluated: dict[EvaluatedModel, None] = {}
    for model in study.models:
        for preferences in study.preferences or [None]:
            for seed in study.seeds:
                for recipe, chain in study.recipes.items():
                    evaluated[EvaluatedModel(recipe, model_at(study, model, preferences, tuple(chain), seed))] = None
    return list(evaluated)


def parents(study: Study, model_id: ModelId) -> dict[str, ModelId]:
    """The models that a trained model starts from, by role: the last one of each role in the stages before."""
    roles: tuple[str, ...] = methods()[study.stages[model_id.chain[-1]].method].REQUIRES
    return {role: _last_that_makes(study, model_id, role) for role in roles}


def _last_that_makes(study: Study, model_id: ModelId, role: str) -> ModelId:
    for end in range(len(model_id.chain) - 1, 0, -1):
        if study.product_of(model_id.chain[end - 1]) == role:
            return model_at(study, model_id.model, model_id.preferences, model_id.chain[:end], model_id.seed)
    return ModelId(model_id.model, ())


def root(study: Study, model_id: ModelId) -> ModelId:
    """The model from elsewhere, or from scratch, whose trunk and tokenizer a model has: its policies' first one."""
    while model_id.is_trained:
        model_id = parents(study, model_id)["policy"]
    return model_id


def models_needed(study: Study) -> list[ModelId]:
    """All evaluated models and their ancestors, parents before children."""
    needed: dict[ModelId, None] = {}

    def visit(model_id: ModelId) -> None:
        if model_id.is_trained:
            for parent in parents(study, model_id).values():
                visit(parent)
        needed[model_id] = None

    for evaluated in evaluated_models(study):
        visit(evaluated.model)
    return list(needed)


def base_source(study: Study, model_id: ModelId) -> Any:
    """The source of an external model: the settings of the base model or of the chain's checkpoint."""
    entry = study.models[model_id.model]
    return entry.checkpoints[model_id.chain_name] if model_id.chain else entry.base


def item_files(study: Study, vertical: str) -> list[str]:
    """The local files that a vertical's items are read from: `files(settings)` of its module, if it has that function.

    Raises UserError for a missing file.
    """
    module, settings = verticals()[vertical], study.verticals_measured()[vertical]
    return [str(path) for path in module.files(settings.items)] if hasattr(module, "files") else []


def corpus_needed(study: Study, model_id: ModelId) -> str | None:
    """The preference set with the corpus of a model that is trained from scratch; None for any other model."""
    return getattr(base_source(study, model_id), "corpus", None)


def model_files(study: Study, model_id: ModelId) -> list[str]:
    """The local files of an external model; none for the hub or a model trained from scratch.

    Raises UserError for a missing file.
    """
    source = base_source(study, model_id)
    if isinstance(source, base.Gguf):
        return [str(source.file)]
    return [str(path) for path in base.model_files(source.folder)] if isinstance(source, base.Folder) else []


@dataclass(frozen=True)
class SourceFiles:
    """The local input files of a study."""

    items: dict[str, list[str]]
    """By vertical."""
    scores: dict[str, list[str]]
    """By vertical: calibrations, and models of scorers."""
    preferences: dict[str, list[str]]
    """By preference set."""
    models: dict[ModelId, list[str]]
    """By external model."""
    labels: list[str]
    """The sheets of labels and their keys."""


def source_files(study: Study) -> SourceFiles:
    """The local input files of the study. Raises UserError for a missing file, or a name that Snakemake cannot take."""
    sources = SourceFiles(
        items={vertical: item_files(study, vertical) for vertical in study.verticals_measured()},
        scores={vertical: score_files(study, vertical) for vertical in study.verticals_measured()},
        preferences={name: preference_files(study, name) for name in preferences_used(study)},
        models={model: model_files(study, model) for model in models_needed(study) if not model.is_trained},
        labels=label_files(study),
    )
    of_models = sources.models.values()
    refuse_wildcards(
        sources.labels, *sources.items.values(), *sources.scores.values(), *sources.preferences.values(), *of_models
    )
    return sources


def score_files(study: Study, vertical: str) -> list[str]:
    """The local files that a vertical's scores depend on. Raises UserError for a missing file."""
    files: list[str] = study.verticals_measured()[vertical].score.files()
    for path in files:
        if not Path(path).is_file():
            raise UserError(f"verticals.{vertical}.score: {path}: no such file; correct the path")
    return files


def label_files(study: Study) -> list[str]:
    """The files of human labels. Raises UserError for a missing file."""
    if study.labels is None:
        return []
    files = labels.files(Path(study.labels))
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise UserError(f"labels: {missing[0]}: no such file; restore it, or draw again with `trustdag label`")
    return [str(file) for file in files]


def external_models(study: Study) -> list[ModelId]:
    """The models that the study does not train, neither from scratch nor by a stage."""
    external = (model_id for model_id in models_needed(study) if not model_id.is_trained)
    return [model_id for model_id in external if corpus_needed(study, model_id) is None]


def preferences_used(study: Study) -> list[str]:
    """The preference sets that models of the study are trained on."""
    models = models_needed(study)
    trained_on = {model_id.preferences for model_id in models} | {
        corpus_needed(study, model_id) for model_id in models if not model_id.is_trained
    }
    return [name for name in study.preferences if name in trained_on]


def preference_files(study: Study, preferences: str) -> list[str]:
    """The local files of a preference set; none for the hub or a generated world.

    Raises UserError for a missing file.
    """
    settings = study.preferences[preferences]
    if getattr(settings, "path", None) is None:
        return []
    return [str(path) for path in sources()[settings.source].files(settings).values()]


def methods_used(study: Study) -> list[str]:
    """The training methods of the study's trained models, which are the names of the training rules."""
    return sorted({study.stages[model.chain[-1]].method for model in models_needed(study) if model.is_trained})


def chain_pattern(study: Study, method: str) -> str:
    """A regular expression of the chains whose last stage has this method."""
    chains = {
        model_id.chain_name
        for model_id in models_needed(study)
        if model_id.is_trained and study.stages[model_id.chain[-1]].method == method
    }
    return "|".join(map(re.escape, sorted(chains)))


def stage_settings(study: Study, model_id: ModelId) -> Section:
    """The settings of a trained model's last stage, as defined by its method's module."""
    stage = study.stage_settings(model_id.model, model_id.chain[-1])
    settings: Section = methods()[stage.method].Settings(**stage.model_dump(exclude={"method"}))
    return settings


def references(study: Study, model_id: ModelId) -> dict[str, ModelId]:
    """The references of an evaluated model: the base model, the control, and the SFT policy of its chain."""
    compared_with = {"base": ModelId(model_id.model, ())} if model_id.chain else {}
    if model_id.is_trained and (control := _control(study)) is not None:
        compared_with["control"] = model_at(study, model_id.model, model_id.preferences, control, model_id.seed)
    for end in range(1, len(model_id.chain)):
        if study.method_of(model_id.chain[end - 1]) == "sft":
            return compared_with | {
                "sft": model_at(study, model_id.model, model_id.preferences, model_id.chain[:end], model_id.seed)
            }
    return compared_with


def _trained_methods(study: Study, model_id: ModelId) -> tuple[str, ...]:
    """The methods of the stages of an evaluated model's chain that the study trains."""
    if not model_id.is_trained:
        return ()
    chains = [
        model_at(study, model_id.model, model_id.preferences, model_id.chain[:end], model_id.seed)
        for end in range(1, len(model_id.chain) + 1)
    ]
    return tuple(study.stages[model.chain[-1]].method for model in chains if model.is_trained)


def _other(reference: ModelId | None, model_id: ModelId) -> str | None:
    return None if reference in (None, model_id) else str(reference)


def _control(study: Study) -> tuple[str, ...] | None:
    """The chain of the recipe that only trains without preference; None if there is none."""
    for chain in study.recipes.values():
        if chain and {study.method_of(stage) for stage in chain} == {"continued"}:
            return tuple(chain)
    return None


def study_design(study: Study) -> StudyDesign:
    """The study's policies and their references, for statistics, plots and the report."""
    listed = evaluated_models(study)
    models = {evaluated.model for evaluated in listed}
    policies = []
    for evaluated in listed:
        model_id = evaluated.model
        compared = {name: other for name, other in references(study, model_id).items() if other in models}
        policies.append(
            Policy(
                id=str(model_id),
                model=model_id.model,
                preferences=model_id.preferences,
                recipe=evaluated.recipe,
                seed=model_id.seed,
                reference_base=str(compared["base"]) if "base" in compared else None,
                reference_sft=str(compared["sft"]) if "sft" in compared else None,
                reference_control=_other(compared.get("control"), model_id),
                methods=tuple(study.method_of(stage) or stage for stage in model_id.chain),
                trained=_trained_methods(study, model_id),
            )
        )
    return StudyDesign(
        study=study.name, notice=study.notice, policies=tuple(policies), verticals=tuple(study.verticals_measured())
    )


# --- Attribution ---


def last_method(study: Study, model_id: ModelId) -> str:
    """The training method of a trained model's last stage."""
    method: str = study.stages[model_id.chain[-1]].method
    return method


def attributions(study: Study) -> dict[ModelId, dict[str, VerticalAttribution]]:
    """The attributed policies with their verticals. Policies trained on a derived preference set are not attributed.

    Raises UserError for an existing checkpoint, whose training pairs are unknown.
    """
    wanted: dict[ModelId, dict[str, VerticalAttribution]] = {}
    for evaluated in evaluated_models(study):
        model_id = evaluated.model
        if not model_id.chain or model_id.preferences in study.derived():
            continue
        method = last_method(study, model_id)
        verticals_of = {name: settings for name, settings in study.attributed().items() if method in settings.stages}
        if verticals_of:
            _attributed_training(study, model_id, next(iter(verticals_of)))
            wanted[model_id] = verticals_of
    return wanted


def _attributed_training(study: Study, model_id: ModelId, vertical: str) -> ModelId:
    """The model whose training pairs are scored: the policy, or a PPO policy's reward model."""
    method = last_method(study, model_id)
    trained = parents(study, model_id)["reward"] if method == "ppo" else model_id
    if not trained.is_trained:
        raise UserError(
            f"attribution.{vertical}.stages: {method}: {trained} is taken from elsewhere (models.{trained.model}."
            f"checkpoints.{trained.chain_name}), without the pairs that it was trained on; remove `{method}`"
        )
    return trained


def attribution_task(study: Study, model_id: ModelId, wanted: dict[str, VerticalAttribution]) -> AttributionTask:
    """The task of the job that attributes a policy.

    Args:
        study: The study.
        model_id: The policy.
        wanted: Attribution settings of its verticals.

    Raises:
        UserError: The reference policy of a difference does not exist.
    """
    trained = _attributed_training(study, model_id, next(iter(wanted)))
    compared = references(study, model_id)
    verticals_of = {}
    for vertical, settings in wanted.items():
        if settings.against != "level" and settings.against not in compared:
            raise UserError(
                f"attribution.{vertical}.against: {model_id} has no `{settings.against}` policy to be compared with;"
                " set `against: level`"
            )
        measured = study.verticals_measured()[vertical]
        verticals_of[vertical] = VerticalTask(
            attribution=settings,
            generate=measured.generate.model_dump(mode="json"),
            score=measured.score.model_dump(mode="json"),
            reference=None if settings.against == "level" else str(compared[settings.against]),
        )
    method = last_method(study, model_id)
    ppo = None
    if method == "ppo":
        start = parents(study, model_id)["policy"]
        ppo = PpoTask(reference=str(start), kl_coef=stage_settings(study, model_id).kl_coef)  # type: ignore[attr-defined]
    return AttributionTask(
        policy=str(model_id),
        stage=method,
        trained=str(trained),
        trained_method=last_method(study, trained),
        settings=stage_settings(study, trained).model_dump(mode="json"),
        start=str(parents(study, trained)["policy"]),
        preferences=model_id.preferences or "",
        seed=model_id.seed or 0,
        prompt_format=study.models[model_id.model].prompt_format,
        ppo=ppo,
        verticals=verticals_of,
    )


def models_of_task(task: AttributionTask) -> list[ModelId]:
    """The models that an attribution job reads."""
    names = [task.policy, task.trained, task.start, *([task.ppo.reference] if task.ppo else [])]
    return [ModelId.parse(name) for name in dict.fromkeys(names)]


def policies_of_task(task: AttributionTask, vertical: str) -> list[str]:
    """The policies whose replies and records of a vertical an attribution job reads."""
    names = [task.policy, task.verticals[vertical].reference, task.ppo.reference if task.ppo else None]
    return [name for name in dict.fromkeys(names) if name is not None]


def pruned_by(study: Study, settings: Pruned) -> ModelId:
    """The policy whose attribution a preference set is pruned by. Raises UserError if there is none."""
    by = settings.by
    ends = [recipe for recipe, chain in study.recipes.items() if chain and study.stages[chain[-1]].method == by.stage]
    recipe = by.recipe or (ends[0] if ends else None)
    if recipe not in ends:
        raise UserError(
            f"preferences: pruned of {settings.of}: by.recipe: no recipe `{recipe}` ends with {by.stage};"
            f" there are {', '.join(ends) or 'none'}"
        )
    chain = tuple(study.recipes[recipe])
    seed = study.seeds[0] if by.seed is None else by.seed
    return model_at(study, by.model or next(iter(study.models)), settings.of, chain, seed)


def better(study: Study, settings: Pruned) -> str:
    """The better direction of the metric that a set is pruned by: `lower` or `higher`."""
    wanted = study.attributed()[settings.by.vertical].metric
    for metric in verticals()[settings.by.vertical].METRICS:
        if metric.name == wanted or (wanted is None and metric.headline):
            return str(metric.direction)
    raise KeyError(f"{settings.by.vertical}.{wanted}")

"""The study: models, preference data, stages, recipes and verticals."""

import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from trustdag import align, data
from trustdag import verticals as verticals_room
from trustdag.align import methods
from trustdag.attribution.settings import VerticalAttribution
from trustdag.config import limits
from trustdag.config.resources import ResourceSettings
from trustdag.config.threads import Threads
from trustdag.data.derived import Derived, Pruned, Subset, with_controls
from trustdag.fingerprint import ROOT
from trustdag.layout import chain_name
from trustdag.models.base import AnyBase
from trustdag.models.dialogue import PromptFormat
from trustdag.plan import PlanSettings
from trustdag.plugins import kinds
from trustdag.report.settings import ReportSettings
from trustdag.settings import Growing, Section, Seed, chosen_by, explain
from trustdag.stats.settings import StatisticsSettings
from trustdag.train.tracking import TrackerNames
from trustdag.verticals import verticals

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=limits.LONGEST_NAME)]
"""Pattern of names, which become folders and targets."""
StageName = Annotated[str, Field(pattern=f"^{limits.STAGE_NAME}$")]
"""Pattern of a stage's name. It has no hyphen, because hyphens join the stages of a chain."""


def _stage_type(name: str, settings: type[Section]) -> type[Section]:
    fields: dict[str, Any] = {
        "method": (Literal[name], Field(name, description="The training method: a module in `align`."))
    }
    return create_model(
        f"{name.capitalize()}Stage",
        __base__=settings,
        __doc__=f"A stage trained by align/{name}.py.",
        **fields,
    )


Modules = Mapping[str, ModuleType]


def _preferences(sources: Modules) -> Any:
    return chosen_by("source", [*(module.Settings for module in sources.values()), Pruned, Subset])


def _stages(methods: Modules) -> Any:
    return chosen_by("method", [_stage_type(name, module.Settings) for name, module in methods.items()])


def _verticals(modules: Modules) -> type[Section]:
    fields: dict[str, Any] = {
        name: (module.Settings | None, Field(None, description=(module.__doc__ or "").split("\n")[0]))
        for name, module in modules.items()
    }
    text = "The verticals that the study measures. A vertical that is missing here is not measured."
    return create_model("Verticals", __base__=Section, __doc__=text, **fields)


def _attribution(modules: Modules) -> type[Section]:
    fields: dict[str, Any] = {
        name: (VerticalAttribution | None, Field(None, description=f"How {name} is attributed.")) for name in modules
    }
    text = "The verticals that are attributed to training pairs. A vertical that is missing here is not attributed."
    return create_model("Attribution", __base__=Section, __doc__=text, **fields)


def _growing(kind: kinds.Kind, build: Callable[[Modules], Any]) -> Growing:
    """The type that `build` makes of the parts of a kind: of the shipped ones for the schema, else of all."""
    return Growing(lambda: build(kinds.shipped(kind)), lambda: build(kinds.parts(kind)), kinds.state)


PreferenceSettings = Annotated[Any, _growing(data.KIND, _preferences)]
StageSettings = Annotated[Any, _growing(align.KIND, _stages)]
Verticals = Annotated[Any, _growing(verticals_room.KIND, _verticals)]
Attribution = Annotated[Any, _growing(verticals_room.KIND, _attribution)]


class ModelEntry(Section):
    """A model of the study: the source of its base model, its prompt format, and overrides."""

    RENAMED: ClassVar[dict[str, str]] = {"format": "prompt_format"}

    base: AnyBase
    """Source of the base model: `source: hub`, `folder` or `scratch`."""
    prompt_format: PromptFormat = "hh"
    """Prompt format at every stage: `hh` (Human, Assistant), `plain`, or `chat` (the model's own template)."""
    checkpoints: dict[str, AnyBase] = {}
    """Existing models for the results of stages, by chain (`sft`, `sft-dpo`). They are used instead of training. A
    stage for which every model has one may be missing in `stages`."""
    overrides: dict[str, dict[str, Any]] = {}
    """Stage settings that are overridden for this model: `{ppo: {learning_rate: 4e-6}}`."""


class Study(Section):
    """One study: every model x preference set x recipe x training seed, measured on every vertical."""

    name: Name
    """Name of the results folder: `results/NAME`."""
    notice: str = ""
    """A sentence that the report shows above all results, for example that the data are invented."""
    data_root: str | None = None
    """Folder that replaces `{data_root}` in paths; usually given as `--config data_root=FOLDER`."""
    plugins: list[str] = []
    """Python files, relative to this one, each with a vertical, scorer, training method or preference format of your
    own: `[brevity.py]` (docs/extending.md). Reading the study runs them."""
    seeds: list[Seed] = Field([0], min_length=1)
    """Training seeds. Every trained stage is repeated for each; the base model is shared."""
    models: dict[Name, ModelEntry] = Field(min_length=1)
    """The base models, by name."""
    preferences: dict[Name, PreferenceSettings] = {}
    """The preference data sets, by name. A study that trains nothing needs none."""
    stages: dict[StageName, StageSettings] = {}
    """Training stages, by name. `method` is the training method; its default is the name."""
    recipes: dict[Name, list[str]] = Field({"base": []}, min_length=1)
    """Chains of stages, by name: `base: []`, `ppo: [sft, reward, ppo]`. Stages that chains share are trained once. By
    default the base models are evaluated."""
    verticals: Verticals
    """The verticals and their settings."""
    labels: str | None = None
    """Human labels of replies, which correct the statistics: a sheet of `trustdag label`, or a folder of sheets."""
    attribution: Attribution = Field(default_factory=dict)
    """The verticals that are attributed to training pairs, and settings."""
    threads: Threads = Threads()
    """Threads of jobs. Results depend on them."""
    statistics: StatisticsSettings = StatisticsSettings()
    """Intervals, tests and corrections."""
    report: ReportSettings = ReportSettings()
    """Plots and pages."""
    resources: ResourceSettings = ResourceSettings()
    """Hardware of the cluster, and overrides of estimated requests."""
    tracking: TrackerNames = []
    """Live trackers of all trainings: `[tensorboard]`, `wandb`, `trackio` or `mlflow` (docs/tracking.md). Nothing is
    trained again when they change."""
    plan: PlanSettings = PlanSettings()
    """Weights of comparisons for `trustdag plan`."""

    @field_validator("stages", mode="before")
    @classmethod
    def _method_defaults_to_name(cls, stages: Any) -> Any:
        if not isinstance(stages, dict):
            return stages
        return {
            name: {"method": name} | (values or {}) if isinstance(values, dict | None) else values
            for name, values in stages.items()
        }

    @field_validator("preferences", mode="before")
    @classmethod
    def _controls_stand_beside(cls, preferences: Any) -> Any:
        return with_controls(preferences) if isinstance(preferences, dict) else preferences

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds

    @model_validator(mode="after")
    def _chains_hold(self) -> Self:
        for recipe, chain in self.recipes.items():
            for position, stage in enumerate(chain):
                self._stage_fits(recipe, chain[:position], stage)
            if chain and self.product_of(chain[-1]) != "policy":
                raise ValueError(f"recipes.{recipe}: ends with `{chain[-1]}`, which makes no policy to evaluate")
        return self

    def _stage_fits(self, recipe: str, before: list[str], stage: str) -> None:
        chain = chain_name([*before, stage])
        untrained = all(chain in model.checkpoints for model in self.models.values())
        if stage not in self.stages and untrained:
            return
        if stage not in self.stages:
            raise ValueError(
                f"recipes.{recipe}: no stage `{stage}`; stages has {', '.join(self.stages) or 'none'}, and not every "
                f"model has a checkpoint of `{chain}`"
            )
        if not self.preferences and not untrained:
            raise ValueError(f"recipes.{recipe}: `{stage}` is trained on preference pairs; name them in `preferences`")
        made = {"policy"} | {self.product_of(name) for name in before}
        for role in methods()[self.stages[stage].method].REQUIRES:
            if role not in made:
                raise ValueError(
                    f"recipes.{recipe}: stage `{stage}` needs a {role} model; put a stage before it that trains one"
                )

    def method_of(self, stage: str) -> str | None:
        """The method of a stage; None for a stage that is not in `stages`, as every model has a checkpoint of it."""
        return self.stages[stage].method if stage in self.stages else None

    def product_of(self, stage: str) -> str:
        """The kind of model that a stage makes: `policy` or `reward`."""
        method = self.method_of(stage)
        return str(methods()[method].PRODUCES) if method else "policy"

    @model_validator(mode="after")
    def _recipes_differ(self) -> Self:
        named: dict[tuple[str, ...], str] = {}
        for recipe, chain in self.recipes.items():
            first = named.setdefault(tuple(chain), recipe)
            if first != recipe:
                raise ValueError(f"recipes.{recipe}: the same chain as `{first}`; remove one of them")
        return self

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        chains = {chain_name(chain[:end]) for chain in self.recipes.values() for end in range(1, len(chain) + 1)}
        for name, model in self.models.items():
            for chain in model.checkpoints:
                if chain not in chains:
                    raise ValueError(f"models.{name}.checkpoints.{chain}: no recipe passes through this chain")
            for stage in model.overrides:
                if stage not in self.stages:
                    raise ValueError(f"models.{name}.overrides.{stage}: no stage of that name")
                try:
                    self.stage_settings(name, stage)
                except ValidationError as error:
                    raise ValueError(explain(error, f"models.{name}.overrides.{stage}")) from None
            corpus = getattr(model.base, "corpus", None)
            if corpus is not None and corpus not in self.preferences:
                raise ValueError(
                    f"models.{name}.base.corpus: no preference set `{corpus}`;"
                    f" preferences has {', '.join(self.preferences)}"
                )
        return self

    @model_validator(mode="after")
    def _attributions_hold(self) -> Self:
        for vertical, settings in self.attributed().items():
            key = f"attribution.{vertical}"
            if vertical not in self.verticals_measured():
                raise ValueError(
                    f"{key}: this study does not measure {vertical}; add it to `verticals`, or remove this"
                )
            ends = {self.stages[chain[-1]].method for chain in self.recipes.values() if chain}
            for method in settings.stages:
                if method not in ends:
                    raise ValueError(f"{key}.stages: no recipe ends with a stage of method `{method}`; remove it")
            metrics = [metric.name for metric in verticals()[vertical].METRICS]
            if settings.metric is not None and settings.metric not in metrics:
                raise ValueError(f"{key}.metric: no metric `{settings.metric}`; there are {', '.join(metrics)}")
        return self

    @model_validator(mode="after")
    def _derived_sets_hold(self) -> Self:
        for name, settings in self.derived().items():
            parent = self.preferences.get(settings.of)
            if parent is None or isinstance(parent, Derived):
                kinds = [other for other in self.preferences if other not in self.derived()]
                raise ValueError(f"preferences.{name}.of: must be one of {', '.join(kinds)} (got {settings.of!r})")
            if isinstance(settings, Pruned):
                self._pruned_holds(name, settings)
        for name, model in self.models.items():
            corpus = getattr(model.base, "corpus", None)
            if corpus in self.derived():
                raise ValueError(f"models.{name}.base.corpus: `{corpus}` is made from another set; name that one")
        return self

    def _pruned_holds(self, name: str, settings: Pruned) -> None:
        key, by = f"preferences.{name}.by", settings.by
        attributed = self.attributed().get(by.vertical)
        if attributed is None or by.stage not in attributed.stages:
            raise ValueError(
                f"{key}: {by.vertical} is not attributed at {by.stage};"
                f" add `attribution: {{{by.vertical}: {{stages: [{by.stage}]}}}}`"
            )
        for part, known in (("model", list(self.models)), ("seed", self.seeds), ("recipe", list(self.recipes))):
            value = getattr(by, part)
            if value is not None and value not in known:
                raise ValueError(f"{key}.{part}: must be one of {', '.join(map(str, known))} (got {value!r})")
        metrics = verticals()[by.vertical].METRICS
        chosen = [
            metric
            for metric in metrics
            if metric.name == attributed.metric or (attributed.metric is None and metric.headline)
        ]
        if chosen[0].direction is None:
            raise ValueError(f"{key}.vertical: {chosen[0].name} has no better direction; attribute another metric")

    @model_validator(mode="after")
    def _limits_hold(self) -> Self:
        limits.check(self)
        return self

    @model_validator(mode="after")
    def _targets_differ(self) -> Self:
        if taken := RULES & methods().keys():
            raise ValueError(
                f"plugins: the method `{min(taken)}` has the name of a rule of the workflow; rename its file"
            )
        targets = [self.name, *self.models, *self.verticals_measured()]
        for target in targets:
            if targets.count(target) > 1 or target in reserved():
                raise ValueError(f"`{target}` is the name of more than one target; rename the study, model or vertical")
        return self

    def verticals_measured(self) -> dict[str, Any]:
        """The settings of each vertical of the study, by its name, in the package's order."""
        measured = {name: getattr(self.verticals, name) for name in type(self.verticals).model_fields}
        return {name: settings for name, settings in measured.items() if settings is not None}

    def attributed(self) -> dict[str, VerticalAttribution]:
        """The attribution settings of each attributed vertical, by its name."""
        every = {name: getattr(self.attribution, name) for name in type(self.attribution).model_fields}
        return {name: settings for name, settings in every.items() if settings is not None}

    def derived(self) -> dict[str, Derived]:
        """The preference sets that are made from another one, by name."""
        return {name: settings for name, settings in self.preferences.items() if isinstance(settings, Derived)}

    def stage_settings(self, model: str, stage: str) -> Any:
        """A stage's settings for one model: those of the stage with the model's overrides."""
        settings = self.stages[stage]
        overrides = self.models[model].overrides.get(stage, {})
        return type(settings).model_validate(settings.model_dump() | overrides)


RULES = frozenset(
    name
    for path in (ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    for name in re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
)
"""The rules that the workflow's files name."""


def reserved() -> frozenset[str]:
    """Names of rules, also of those that are defined in loops or conditions. Targets may not have these names."""
    return RULES | methods().keys() | {"attribute", "derive"}

"""The study: models, preference data, stages, recipes and verticals. Every key is documented where it is defined."""

import re
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from trustdag.align import methods
from trustdag.config.resources import ResourceSettings
from trustdag.data import sources
from trustdag.layout import chain_name
from trustdag.models.base import AnyBase
from trustdag.models.dialogue import PromptFormat
from trustdag.plan import PlanSettings
from trustdag.report.settings import ReportSettings
from trustdag.settings import Section, explain
from trustdag.stats.settings import StatisticsSettings
from trustdag.verticals import verticals

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Names become folders and targets."""
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$")]
"""A stage's name becomes part of a chain, whose stages are joined by hyphens, so it has none."""


def _one_of(types: list[type[Section]], discriminator: str) -> Any:
    union = reduce(or_, types)
    return Annotated[union, Field(discriminator=discriminator)] if len(types) > 1 else union


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


PreferenceSettings: Any = _one_of([module.Settings for module in sources().values()], "source")
StageSettings: Any = _one_of([_stage_type(name, module.Settings) for name, module in methods().items()], "method")
_VERTICALS: dict[str, Any] = {
    name: (module.Settings | None, Field(None, description=(module.__doc__ or "").split("\n")[0]))
    for name, module in verticals().items()
}
Verticals: Any = create_model(
    "Verticals",
    __base__=Section,
    __doc__="The verticals that the study measures; one that is left out is not measured.",
    **_VERTICALS,
)


class ModelEntry(Section):
    """A model of the study: where its base comes from, how it is asked, what differs for it."""

    RENAMED: ClassVar[dict[str, str]] = {"format": "prompt_format"}

    base: AnyBase
    """Where the base model comes from: `source: hub`, `folder` or `scratch`."""
    prompt_format: PromptFormat = "hh"
    """How the model is asked, at every stage: `hh` (Human, Assistant), `plain`, or `chat` (its own template)."""
    checkpoints: dict[str, AnyBase] = {}
    """Existing models that stand for a stage, by chain (`sft`, `sft-dpo`): taken instead of trained."""
    overrides: dict[str, dict[str, Any]] = {}
    """Settings that differ for this model, by stage: `{ppo: {learning_rate: 4e-6}}`."""


class Study(Section):
    """One study: every model x preference set x recipe x training seed, measured on every vertical."""

    name: Name
    """Names the results folder: `results/NAME`."""
    notice: str = ""
    """A sentence that the report shows above all numbers, such as that the world is invented."""
    data_root: str | None = None
    """Folder that `{data_root}` stands for in paths below; usually given as `--config data_root=FOLDER`."""
    seeds: list[int] = Field([0], min_length=1)
    """Training seeds. Every trained stage is repeated for each; the base model is shared."""
    models: dict[Name, ModelEntry] = Field(min_length=1)
    """The base models, by name."""
    preferences: dict[Name, PreferenceSettings] = Field(min_length=1)
    """The preference data sets, by name."""
    stages: dict[StageName, StageSettings] = {}
    """Training stages, by name; `method` says which module trains it and defaults to the name."""
    recipes: dict[Name, list[str]] = Field(min_length=1)
    """Chains of stages, by name: `base: []`, `ppo: [sft, reward, ppo]`. What chains share is trained once."""
    verticals: Verticals
    """What is measured, and how."""
    labels: str | None = None
    """A person's labels of replies, which correct the statistics: a sheet of `trustdag label`, or a folder of them."""
    statistics: StatisticsSettings = StatisticsSettings()
    """Intervals, tests and corrections."""
    report: ReportSettings = ReportSettings()
    """Plots and pages."""
    resources: ResourceSettings = ResourceSettings()
    """What jobs ask of the cluster, where the estimate is to be overridden."""
    plan: PlanSettings = PlanSettings()
    """What a comparison is worth to `trustdag plan`."""

    @field_validator("stages", mode="before")
    @classmethod
    def _method_defaults_to_name(cls, stages: Any) -> Any:
        if not isinstance(stages, dict):
            return stages
        return {
            name: {"method": name} | (values or {}) if isinstance(values, dict | None) else values
            for name, values in stages.items()
        }

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("every seed may stand once")
        return seeds

    @model_validator(mode="after")
    def _chains_hold(self) -> Self:
        for recipe, chain in self.recipes.items():
            for position, stage in enumerate(chain):
                self._stage_fits(recipe, chain[:position], stage)
            if chain and methods()[self.stages[chain[-1]].method].PRODUCES != "policy":
                raise ValueError(f"recipes.{recipe}: ends with `{chain[-1]}`, which makes no policy to evaluate")
        return self

    def _stage_fits(self, recipe: str, before: list[str], stage: str) -> None:
        if stage not in self.stages:
            raise ValueError(f"recipes.{recipe}: no stage `{stage}`; stages has {', '.join(self.stages) or 'none'}")
        made = {"policy"} | {methods()[self.stages[name].method].PRODUCES for name in before}
        for role in methods()[self.stages[stage].method].REQUIRES:
            if role not in made:
                raise ValueError(
                    f"recipes.{recipe}: stage `{stage}` needs a {role} model; put a stage before it that trains one"
                )

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
    def _targets_differ(self) -> Self:
        targets = [self.name, *self.models, *self.verticals_measured()]
        for target in targets:
            if targets.count(target) > 1 or target in RESERVED:
                raise ValueError(f"`{target}` is the name of more than one target; rename the study, model or vertical")
        return self

    def verticals_measured(self) -> dict[str, Any]:
        """The settings of each vertical of the study, by its name, in the package's order."""
        found = {name: getattr(self.verticals, name) for name in type(self.verticals).model_fields}
        return {name: settings for name, settings in found.items() if settings is not None}

    def stage_settings(self, model: str, stage: str) -> Any:
        """A stage's settings for one model: the stage's own with the model's overrides."""
        settings = self.stages[stage]
        overrides = self.models[model].overrides.get(stage, {})
        return type(settings).model_validate(settings.model_dump() | overrides)


WORKFLOW = Path(__file__).parents[2]
RULES = frozenset(
    name
    for path in (WORKFLOW.parent / "Snakefile", *sorted((WORKFLOW / "rules").glob("*.smk")))
    for name in re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
)
"""The rules that the workflow's files name."""
RESERVED = RULES | methods().keys()
"""Names of rules, those of training methods included, which targets may not take."""

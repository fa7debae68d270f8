"""Which policies and verticals a study compares: all that statistics, plots and the report need to know of it."""

from typing import Self

from pydantic import Field, model_validator

from trustdag.layout import ModelId
from trustdag.settings import Section


class Policy(Section):
    """One trained (or base) policy and what it is compared with."""

    id: str
    """The text of a `ModelId`: also the policy's path below records, replies and models."""
    model: str
    """Name of the base model."""
    preferences: str | None = None
    """Name of the preference set; None for a base model."""
    recipe: str
    """Name of the recipe, such as `base`, `sft`, `dpo`, `ppo`."""
    seed: int | None = None
    """Training seed; None for a base model."""
    reference_base: str | None = None
    """The policy whose difference from this one is the change since the base model; None for a base model."""
    reference_sft: str | None = None
    """The SFT policy of the same model, preferences and seed; None where there is none, or where it is this one."""

    reference_control: str | None = None
    """The policy of the same model, preferences and seed that read as much text without preference; None where there
    is none, or where it is this one."""

    methods: tuple[str, ...] = ()
    """The training method of each stage of the policy's chain, first to last; empty for a base model."""
    trained: tuple[str, ...] = ()
    """Those of the stages that the study trains itself; a checkpoint that was given leaves no curves."""

    @property
    def group(self) -> tuple[str, str | None, str]:
        """What policies that differ by their training seed alone have in common."""
        return (self.model, self.preferences, self.recipe)

    @property
    def chain(self) -> tuple[str, ...]:
        """The training stages that made the policy, first to last; empty for a base model."""
        return ModelId.parse(self.id).chain if self.seed is not None else ()


class StudyDesign(Section):
    """A study as statistics, plots and the report see it."""

    study: str
    """Name of the study."""
    notice: str = ""
    """What a reader must know before any number, such as that the world is invented; empty if there is nothing."""
    policies: tuple[Policy, ...] = Field(min_length=1)
    """In the order in which tables and plots show them: base first, then by stage."""
    verticals: tuple[str, ...] = Field(min_length=1)
    """Names of the verticals, in the order in which they are shown."""

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        names = [policy.id for policy in self.policies]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"policy {name} is listed twice")
        for policy in self.policies:
            for reference in (policy.reference_base, policy.reference_sft, policy.reference_control):
                if reference is not None and reference not in names:
                    raise ValueError(f"policy {policy.id} is compared with {reference}, which is not listed")
        return self

    def named(self, policy: str) -> Policy:
        """The policy of that id. Raises KeyError if there is none."""
        for candidate in self.policies:
            if candidate.id == policy:
                return candidate
        raise KeyError(policy)

    def references(self, policy: Policy) -> dict[str, Policy]:
        """What a policy is compared with: `base`, `sft`, `control`."""
        named = {
            "base": policy.reference_base,
            "sft": policy.reference_sft,
            "control": policy.reference_control,
        }
        return {name: self.named(other) for name, other in named.items() if other not in (None, policy.id)}

    def seed_groups(self) -> list[tuple[Policy, ...]]:
        """Policies of one model, preference set and recipe over several training seeds; single ones are left out."""
        groups: dict[tuple[str, str | None, str], list[Policy]] = {}
        for policy in self.policies:
            groups.setdefault(policy.group, []).append(policy)
        return [tuple(group) for group in groups.values() if len(group) > 1]

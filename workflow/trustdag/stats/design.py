"""The policies and verticals of a study, as statistics, plots and the report need them."""

from typing import Self

from pydantic import Field, model_validator

from trustdag.layout import ModelId
from trustdag.settings import Section


class Policy(Section):
    """A trained policy or base model, and its references."""

    id: str
    """The text of a `ModelId`, which is also the policy's path in records, replies and models."""
    model: str
    """Name of the base model."""
    preferences: str | None = None
    """Name of the preference set; None for a base model."""
    recipe: str
    """Name of the recipe, such as `base`, `sft`, `dpo`, `ppo`."""
    seed: int | None = None
    """Training seed; None for a base model."""
    reference_base: str | None = None
    """The reference for the change since the base model; None for a base model."""
    reference_sft: str | None = None
    """The SFT policy of the same model, preferences and seed; None if there is none, or for that policy itself."""

    reference_control: str | None = None
    """The control of the same model, preferences and seed, trained on as much text without preference; None if there is
    none, or for the control itself."""

    methods: tuple[str, ...] = ()
    """The training method of each stage of the policy's chain, first to last; empty for a base model."""
    trained: tuple[str, ...] = ()
    """The methods of the stages that the study itself trains. An existing checkpoint has no training curves."""

    @property
    def group(self) -> tuple[str, str | None, str]:
        """The key of policies that differ only by their training seed."""
        return (self.model, self.preferences, self.recipe)

    @property
    def chain(self) -> tuple[str, ...]:
        """The training stages of the policy, first to last; empty for a base model."""
        return ModelId.parse(self.id).chain if self.seed is not None else ()


class StudyDesign(Section):
    """The design of a study for statistics, plots and the report."""

    study: str
    """Name of the study."""
    notice: str = ""
    """A notice that is shown before all results, for example that the data are invented; possibly empty."""
    policies: tuple[Policy, ...] = Field(min_length=1)
    """The policies in the order of tables and plots: base first, then by stage."""
    verticals: tuple[str, ...] = Field(min_length=1)
    """Names of the verticals, in the order of tables and plots."""

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
        """The policy with this id. Raises KeyError if there is none."""
        for candidate in self.policies:
            if candidate.id == policy:
                return candidate
        raise KeyError(policy)

    def references(self, policy: Policy) -> dict[str, Policy]:
        """The references of a policy: `base`, `sft`, `control`."""
        named = {
            "base": policy.reference_base,
            "sft": policy.reference_sft,
            "control": policy.reference_control,
        }
        return {name: self.named(other) for name, other in named.items() if other not in (None, policy.id)}

    def seed_groups(self) -> list[tuple[Policy, ...]]:
        """Groups of policies that differ only by their training seed, with at least two policies each."""
        groups: dict[tuple[str, str | None, str], list[Policy]] = {}
        for policy in self.policies:
            groups.setdefault(policy.group, []).append(policy)
        return [tuple(group) for group in groups.values() if len(group) > 1]

"""The size of a study's models: parameters (configured, computed, or read from names or files) and disk space."""

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

from trustdag.config.resources import ModelResources
from trustdag.data.location import expanded
from trustdag.errors import UserError
from trustdag.models.size import SINGLE, parameters_in_folder
from trustdag.resources import estimate

if TYPE_CHECKING:
    from trustdag.config.study import Study
    from trustdag.models.base import AnyBase


def parameters_of(study: "Study", model: str) -> float:
    """Number of parameters of a model: configured, computed, or read from its name or its files.

    Raises UserError naming the key to set if it is unknown.
    """
    given = study.resources.models.get(model, ModelResources()).parameters
    parameters = given or _parameters_of_source(study.models[model].base)
    if parameters is None:
        raise UserError(
            f"models.{model}.base: neither the name nor the files tell its number of parameters;"
            f" set resources.models.{model}.parameters"
        )
    return parameters


def _parameters_of_source(base: "AnyBase") -> float | None:
    if base.source == "scratch":
        return estimate.scratch_parameters(base.vocabulary, base.hidden_size, base.layers)
    if base.source == "hub":
        return estimate.parameters_in_name(base.name)
    return parameters_in_folder(expanded(base.path)) or estimate.parameters_in_name(base.path)


def written_mb(study: "Study", rule: str, wildcards: Mapping[str, str]) -> int:
    """Megabytes of the model that a job leaves in the results; 0 for a job that makes none.

    Args:
        study: The study.
        rule: The job's rule.
        wildcards: The job's wildcards; a stage's name its `chain`.
    """
    if rule != "base" and "chain" not in wildcards:
        return 0
    return ceil(SINGLE * parameters_of(study, wildcards["model"]) / 1e6)

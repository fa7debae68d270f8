"""Number of parameters of a study's model: configured, computed, or read from its name or its files."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.config.resources import ModelResources
from trustdag.errors import UserError
from trustdag.models.size import parameters_in_folder
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
    return parameters_in_folder(Path(base.path)) or estimate.parameters_in_name(base.path)

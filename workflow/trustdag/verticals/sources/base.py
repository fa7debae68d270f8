"""What the sources of items share: their settings, and reading publishers' files with errors that a user can mend."""

from typing import Literal

from trustdag.data.toy import ItemSettings as ToySettings


class ToyItems(ToySettings):
    """Items of the toy world, about people, groups, creatures and deeds that no preference pair mentions."""

    source: Literal["toy"] = "toy"

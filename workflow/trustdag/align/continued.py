"""The control: training on as much text as SFT, without any preference.

The stage trains on one reply of each pair, drawn with equal probability. Its effect is that of more training on such
text. The difference between an aligned model and this one is the effect of preference. The reference `control` compares
the other recipes with a recipe of this stage alone (`control: [continued]`).
"""

import random
from typing import Any

from trustdag.align import sft
from trustdag.train.cost import MethodCost, supervised_cost
from trustdag.train.pairs import EncodedReplies
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage
from trustdag.train.supervised import TrainerInputs, supervised

REQUIRES = ("policy",)
PRODUCES = "policy"


class Settings(SupervisedSettings):
    """The control. With the settings of `sft` it trains for the same number of steps."""


def cost(settings: Settings, pairs: int) -> MethodCost:
    """One model is trained on one reply of each pair."""
    return supervised_cost(settings, pairs, frozen=0, sequences=1, flops=6)


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    supervised(stage, settings, ("chosen", "rejected"), build_trainer)


def build_trainer(inputs: TrainerInputs, settings: Settings) -> Any:
    """TRL's trainer on one reply of each pair."""
    return sft.trainer_on(inputs, settings, examples)


def examples(pairs: EncodedReplies) -> dict[str, Any]:
    """Whole texts of the drawn replies, the same for every training seed."""
    coin = random.Random("continued")
    replies = [coin.choice(both) for both in zip(pairs.replies["chosen"], pairs.replies["rejected"], strict=True)]
    return sft.whole_texts(pairs.prompts, replies)

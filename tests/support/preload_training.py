"""Imported once by the process that forks the runs of the kill tests."""

import torch  # noqa: F401
import transformers  # noqa: F401
from datasets import Dataset  # noqa: F401
from peft import LoraConfig  # noqa: F401
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer  # noqa: F401

import trustdag.train.trainer  # noqa: F401

"""Imported once by the process that forks the runs of the kill tests."""

import torch  # noqa: F401
import transformers  # noqa: F401
from datasets import Dataset  # noqa: F401
from peft import LoraConfig  # noqa: F401
from trl import DPOConfig, RewardConfig, SFTConfig  # noqa: F401

import trustdag.train.trainer
import trustdag.train.trl_adapter  # noqa: F401

"""Tiny sequence classifiers with random weights."""

from pathlib import Path
from typing import Any

import torch

from tests.support import tiny_models as tiny

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "word"]


def write_classifier(folder: Path, kind: str = "bert", **changes: Any) -> Path:
    """A tiny classifier with random weights; `changes` edit its config.json."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        BertForSequenceClassification,
        PreTrainedTokenizerFast,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    sizes = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 34,
        "initializer_range": 1.0,
    }
    labels = changes.pop("labels", ["fine", "toxic", "rude"])
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)}}
    torch.manual_seed(0)
    models: dict[str, Any] = {
        "bert": lambda: BertForSequenceClassification(BertConfig(**sizes, **names)),
        "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**sizes, **names, pad_token_id=1)),
        "language model": lambda: BertForMaskedLM(BertConfig(**sizes)),
    }
    models[kind]().save_pretrained(folder)
    tiny.edit_json(folder / "config.json", **changes)
    return folder

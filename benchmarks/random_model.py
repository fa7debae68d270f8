"""A small GPT-NeoX with random weights, for benchmarks of the engine: it never ends a reply, the slowest case there is.

    python benchmarks/random_model.py --data DATA_ROOT --out MODEL_FOLDER

128 wide, 4 layers, 2,048 positions, and a byte-level vocabulary of 4,096 made from the ETHICS test set: 1.8 million
parameters. Weights are drawn wide (standard deviation .06), so that no two options tie.
"""

import argparse
from pathlib import Path

CONTEXT = 2048


def main() -> None:
    """Writes the model folder; the same data gives the same model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with ethics/cm_test.csv.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    arguments = parser.parse_args()
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from trustdag.train.pretrain import train_tokenizer
    from trustdag.verticals.sources.base import read_csv

    texts = [row["input"] for row in read_csv(arguments.data / "ethics" / "cm_test.csv.gz", ("input",))]
    tokenizer = train_tokenizer(texts, 4096, CONTEXT)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512,
        max_position_embeddings=CONTEXT, initializer_range=0.06, bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

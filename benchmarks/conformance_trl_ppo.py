"""Our PPO against TRL 1.12.0's on the same weights and the same rollout: every quantity, and the first optimizer step.

    python benchmarks/conformance_trl_ppo.py

TRL runs in a virtual environment of its own (trl_1_12.py). It samples, and writes down what it sampled and computed; we
take its tokens and compute the rest. Exits with 1 if anything differs by more than 1e-5. Where we differ on purpose
(replies that end early, replies that are cut: docs/ppo.md says why), TRL's number goes in and the rest is compared.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import ppo_models
import trl_1_12
from trustdag.rl import losses
from trustdag.rl.batch import Batch, Experience
from trustdag.rl.rollout import PromptSet
from trustdag.rl.sampling import SampledReplies
from trustdag.rl.settings import PPOSettings
from trustdag.rl.trainer import PPOTrainer

HERE = Path(__file__).resolve().parent
SHAPE = ppo_models.SHAPES["conformance"]
TOLERANCE = 1e-5
END_LOGIT = {"replies of full length": -20.0, "replies that end early": 1.5}


def main() -> None:
    """Compares both cases."""
    worst = 0.0
    for case in END_LOGIT:
        with tempfile.TemporaryDirectory() as folder:
            worst = max(worst, compare(case, Path(folder)))
    print(f"largest difference {worst:.1e}, tolerance {TOLERANCE:.0e}")
    sys.exit(worst > TOLERANCE)


def compare(case: str, folder: Path) -> float:
    """The largest difference, after printing that of each quantity."""
    ppo_models.build(SHAPE, folder)
    ppo_models.steer_ends(folder, END_LOGIT[case])
    subprocess.run([trl_1_12.python(), HERE / "conformance_trl_side.py", folder], check=True, stdout=subprocess.DEVNULL)
    theirs = load_file(folder / "trl.safetensors")
    trainer = our_trainer(folder)
    batch, ours = our_rollout(trainer, theirs)
    ours |= our_losses_and_step(trainer, batch, theirs)
    mask = theirs["mask"].bool()
    print(f"{case}: {len(mask)} replies, {int(mask.sum())} tokens")
    differences = {}
    for name, value in ours.items():
        expected = theirs[name] * mask if value.shape == mask.shape else theirs[name]
        differences[name] = (value - expected).abs().max().item()
    weights = {name for name in differences if name.startswith(("policy.", "value_model."))}
    for name in differences.keys() - weights:
        print(f"  {name:40s} {differences[name]:.1e}")
    print(f"  {f'{len(weights)} weights after the first step':40s} {max(differences[name] for name in weights):.1e}")
    return max(differences.values())


def our_trainer(folder: Path) -> PPOTrainer:
    """Our trainer with TRL's settings: its epsilon, no gradient clipping, and a value model that is a reward model."""
    settings = PPOSettings(
        batch_size=SHAPE.batch, minibatches=1, epochs=1, max_new_tokens=SHAPE.reply, temperature=0.8,
        learning_rate=1e-3, adam_epsilon=1e-8, max_grad_norm=1e9, reward_clip=None, missing_end_penalty=0.0,
        value="reward_copy",
    )  # fmt: skip
    return PPOTrainer(
        AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32),
        ppo_models.tokenizer(SHAPE),
        AutoModelForSequenceClassification.from_pretrained(folder / "reward", dtype=torch.float32),
        ["w2"],
        settings,
        folder / "ours",
    )


def our_rollout(trainer: PPOTrainer, theirs: dict[str, Tensor]) -> tuple[Batch, dict[str, Tensor]]:
    """What we make of TRL's prompts and replies. A cut reply's score is TRL's: we close it, TRL does not."""
    mask = theirs["mask"].bool()
    lengths = mask.sum(1)
    ids = [row[:length].tolist() for row, length in zip(theirs["responses"], lengths, strict=True)]
    ended = torch.tensor([row[-1] == 0 for row in ids])
    prompts = [[token for token in row if token != 1] for row in theirs["queries"].tolist()]
    trainer.rollouts.prompts = PromptSet([], prompts)
    replies = SampledReplies(theirs["responses"], lengths, ended, torch.zeros(mask.shape), torch.zeros(mask.shape))
    rows = list(range(len(ids)))
    scores = torch.where(ended, trainer.rollouts.score(rows, replies), theirs["scores"])
    batch = trainer.rollouts.evaluate(prompts, replies, scores)
    with torch.no_grad():
        batch.logprobs.masked_scatter_(mask, trainer.model("evaluate", batch.sequences).logprobs)
    kl = losses.kl_estimate(batch.logprobs, batch.ref_logprobs, "k1")
    values = {name: getattr(batch, name) for name in ("logprobs", "ref_logprobs", "values", "scores")} | {"kl": kl}
    if mask.all():
        experience = trainer.assign_credit(batch)
        values |= {"advantages": experience.advantages, "returns": experience.returns}
        values["rewards"] = losses.token_rewards(scores, kl, trainer.settings.kl_coef, mask)
    return batch, values


def our_losses_and_step(trainer: PPOTrainer, batch: Batch, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Both losses, and every weight after one optimizer step on TRL's advantages and returns."""
    mask = theirs["mask"].bool()
    given = {name: theirs[name] * mask for name in ("advantages", "returns")}
    experience = Experience(**vars(batch), **given)
    with torch.no_grad():
        judged = trainer.model("evaluate", experience.sequences)
    policy = losses.policy_loss(judged.logprobs, batch.logprobs[mask], experience.advantages[mask], 0.2).losses.mean()
    value = losses.value_loss(judged.values, batch.values[mask], experience.returns[mask], 0.2).losses.mean()
    if not mask.all():  # TRL's value loss has one more position after an early end
        trainer.settings = trainer.settings.model_copy(update={"value_coef": 0.0})
    trainer.improve(experience)
    after = trainer.plain.state_dict()
    names = [name for name in theirs if name.startswith("policy.") or (mask.all() and name.startswith("value_model."))]
    stepped = {name: after[our_name(name)] for name in names}
    return {"policy_loss": policy} | ({"value_loss": value} if mask.all() else {}) | stepped


def our_name(name: str) -> str:
    """Our name of a weight that TRL calls `name`."""
    return name.replace("value_model.score", "value_head").replace("value_model.gpt_neox", "critic")


if __name__ == "__main__":
    main()

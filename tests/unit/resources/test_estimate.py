"""What a job costs, estimated from sizes: known models, and the ways in which cost must grow."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdag.align import methods
from trustdag.models.base import Scratch
from trustdag.resources import estimate
from trustdag.resources.estimate import Training
from trustdag.train import pretrain
from trustdag.train.cost import MethodCost

PAIRS = 160_800


def cost(method: str, **settings: Any) -> MethodCost:
    """What a method's module says it costs."""
    module = methods()[method]
    told: MethodCost = module.cost(module.Settings(**settings), PAIRS)
    return told


PYTHIA = Training(
    parameters=1.4e9,
    cost=cost("sft", device_batch_size=8),
    precision="bf16",
    length=512,
    checkpointing=False,
    trained_share=1.0,
)


def with_batch(training: Training, device_batch: int) -> Training:
    """A stage with another number of examples in one forward pass."""
    return replace(training, cost=replace(training.cost, device_batch=device_batch))


# --- What methods cost ---


def test_supervised_methods_see_their_epochs_or_their_steps() -> None:
    assert cost("sft", epochs=2).examples == 2 * PAIRS
    assert cost("dpo", max_steps=10, batch_size=4, epochs=2).examples == 40
    assert cost("ppo", updates=10, batch_size=64, epochs=4).examples == 640


def test_a_forward_pass_holds_the_whole_batch_unless_the_settings_say_less() -> None:
    assert cost("reward", batch_size=16).device_batch == 16
    assert cost("reward", batch_size=16, device_batch_size=2).device_batch == 2
    assert cost("ppo", batch_size=64, minibatches=4).device_batch == 16


def test_pretraining_sees_its_steps_times_its_batch() -> None:
    told = pretrain.cost(Scratch(corpus="crowd", steps=10, batch_size=4))
    assert (told.examples, told.device_batch, told.flops) == (40, 4, 6)


# --- Sizes ---


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("EleutherAI/pythia-70m", 70e6),
        ("EleutherAI/pythia-160m-deduped", 160e6),
        ("EleutherAI/pythia-6.9b", 6.9e9),
        ("meta-llama/Llama-2-7b-hf", 7e9),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.5e9),
        ("mistralai/Mixtral-8x7B-v0.1", 56e9),
        ("/models/9b/SmolLM2-135M", 135e6),
        ("gpt2", None),
        ("my-model-v2", None),
        ("facebook/bart-3base", None),
    ],
)
def test_a_models_name_tells_its_size(name: str, parameters: float | None) -> None:
    assert estimate.parameters_in_name(name) == parameters


@pytest.mark.parametrize(
    ("vocabulary", "hidden", "layers", "published"),
    [(50_304, 512, 6, 70e6), (50_304, 1024, 24, 405e6), (50_432, 4096, 32, 6.86e9)],
)
def test_a_gpt_neox_has_the_published_number_of_parameters(
    vocabulary: int, hidden: int, layers: int, published: float
) -> None:
    """Biderman et al. 2023 (Pythia), table 1."""
    assert estimate.scratch_parameters(vocabulary, hidden, layers) == pytest.approx(published, rel=0.01)


def test_full_training_holds_sixteen_bytes_a_parameter() -> None:
    idle = with_batch(PYTHIA, 0)
    assert estimate.training_memory(idle, 1, sharded=False) == pytest.approx(1.2 * 16 * 1.4e9 + 2**30)


@pytest.mark.parametrize(
    ("method_cost", "bytes_each"),
    [
        (cost("sft"), 16),
        (cost("dpo"), 16 + 4),
        (cost("ppo", value="head"), 16 + 2 * 4),
        (cost("ppo", value="reward_copy"), 2 * 16 + 2 * 4),
    ],
)
def test_dpo_holds_a_reference_and_ppo_a_reference_a_reward_and_a_value_model(
    method_cost: MethodCost, bytes_each: int
) -> None:
    idle = with_batch(replace(PYTHIA, precision="fp32", cost=method_cost), 0)
    memory = estimate.training_memory(idle, 1, sharded=False)
    assert memory == pytest.approx(1.2 * bytes_each * 1.4e9 + 2**30)


def test_ppo_takes_the_flops_of_sampling_reading_and_its_epochs() -> None:
    assert cost("ppo", epochs=4, value="head").flops == 2 + 3 * 2 + 4 * 6
    assert cost("ppo", epochs=1, value="policy_copy").flops == 2 + 4 * 2 + 2 * 6


def test_activations_of_one_layer_are_those_of_korthikanti() -> None:
    """A model of 12 x 96^2 parameters is one layer of width 96 here: 34 s b h bytes in 16 bit."""
    one = with_batch(replace(PYTHIA, parameters=12 * 96**2, length=100), 3)
    assert estimate.activation_memory(one) == pytest.approx(34 * 100 * 3 * 96)
    assert estimate.activation_memory(replace(one, checkpointing=True)) == pytest.approx(2 * 100 * 3 * 96)
    assert estimate.activation_memory(replace(one, precision="fp32")) == pytest.approx(2 * 34 * 100 * 3 * 96)


def test_training_takes_six_flops_for_each_parameter_and_token() -> None:
    assert estimate.training_flops(PYTHIA) == pytest.approx(6 * 1.4e9 * 160_800 * 512)
    assert estimate.training_flops(replace(PYTHIA, cost=cost("dpo"))) == pytest.approx(8 * 1.4e9 * 160_800 * 1024)


def test_sampling_in_double_precision_holds_eight_bytes_a_parameter() -> None:
    weights = [estimate.generation_memory(2e9, 0, precision) - estimate.GIB for precision in estimate.BYTES]
    assert weights == pytest.approx([estimate.HEADROOM * 2e9 * size for size in (8, 4, 2)])


def test_a_7b_model_does_not_fit_one_gpu_and_is_sharded_over_several() -> None:
    large = with_batch(replace(PYTHIA, parameters=6.9e9), 64)
    processes = estimate.processes_for(large, 64, 80e9, 32)
    assert processes is not None
    assert processes >= 4
    assert estimate.must_shard(large, 64, 80e9, processes)


def test_a_small_model_stays_on_one_gpu() -> None:
    small = with_batch(replace(PYTHIA, parameters=70e6), 32)
    assert estimate.processes_for(small, 32, 80e9, 32) == 1
    assert not estimate.must_shard(small, 32, 80e9, 1)


def test_what_fits_nowhere_is_said_to() -> None:
    assert estimate.processes_for(replace(PYTHIA, parameters=1e12), 64, 80e9, 32) is None


def test_lora_trains_a_small_share_and_never_more_than_all() -> None:
    assert estimate.lora_share(6.9e9, 8) < 0.01
    assert estimate.lora_share(1e5, 1000) == 1.0


sizes = st.floats(1e5, 1e11)
costs = st.builds(
    MethodCost,
    trained=st.integers(1, 2),
    frozen=st.integers(0, 2),
    sequences=st.integers(1, 2),
    flops=st.floats(2, 60),
    device_batch=st.integers(1, 64),
    examples=st.floats(1, 1e6),
)
trainings = st.builds(
    Training,
    parameters=sizes,
    cost=costs,
    precision=st.sampled_from(["fp32", "bf16"]),
    length=st.integers(8, 4096),
    checkpointing=st.booleans(),
    trained_share=st.floats(0, 1),
)


@given(trainings, st.floats(1, 10))
def test_more_of_anything_never_costs_less(training: Training, factor: float) -> None:
    larger = replace(training, parameters=training.parameters * factor)
    longer = replace(training, length=training.length * 2)
    assert estimate.training_memory(larger, 1, sharded=False) >= estimate.training_memory(training, 1, sharded=False)
    assert estimate.training_flops(larger) >= estimate.training_flops(training)
    assert estimate.activation_memory(longer) >= estimate.activation_memory(training)
    assert estimate.training_flops(longer) >= estimate.training_flops(training)


@given(trainings, st.integers(1, 64), st.floats(1e9, 1e11))
def test_the_number_of_gpus_found_is_one_on_which_it_fits(training: Training, batch: int, memory: float) -> None:
    processes = estimate.processes_for(training, batch, memory, 64)
    if processes is not None:
        split = estimate.divided(training, batch, processes)
        sharded = estimate.must_shard(training, batch, memory, processes)
        assert estimate.training_memory(split, processes, sharded) <= memory

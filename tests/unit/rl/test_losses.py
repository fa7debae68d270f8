"""PPO's arithmetic against loops over single numbers, written from the papers' equations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trustdag.rl import losses
from trustdag.rl.control import KLController, RunningMoments, shape_scores


def ragged(seed: int, rows: int = 5, steps: int = 7) -> tuple[torch.Tensor, torch.Generator]:
    """A mask with replies of 1 to `steps` tokens, and a generator for the rest."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
    return torch.arange(steps) < lengths[:, None], generator


def random(mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Numbers everywhere, outside the mask too: those must never be read."""
    return torch.randn(mask.shape, generator=generator, dtype=torch.float64)


class TestLogProbabilities:
    def test_equal_a_softmax_written_out(self) -> None:
        # given
        logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
        tokens = torch.tensor([0, 5, 2, 2])
        # when
        logprobs = losses.of_tokens(losses.log_softmax(logits, temperature=0.7), tokens)
        # then
        for row in range(4):
            z = [float(value) / 0.7 for value in logits[row]]
            expected = z[int(tokens[row])] - math.log(sum(math.exp(each) for each in z))
            assert float(logprobs[row]) == pytest.approx(expected, abs=1e-6)

    def test_entropy_is_minus_the_sum_of_p_log_p(self) -> None:
        logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
        for row, entropy in zip(logits, losses.entropy_of(losses.log_softmax(logits, 1.3)), strict=True):
            z = [math.exp(float(value) / 1.3) for value in row]
            p = [each / sum(z) for each in z]
            assert float(entropy) == pytest.approx(-sum(each * math.log(each) for each in p), abs=1e-6)

    def test_a_uniform_distribution_has_entropy_log_v(self) -> None:
        assert float(losses.entropy_of(losses.log_softmax(torch.zeros(1, 8), 1.0))) == pytest.approx(math.log(8))

    def test_huge_logits_do_not_overflow(self) -> None:
        logprobs = losses.log_softmax(torch.tensor([[1e4, 0.0, -1e4]]), 1.0)
        assert losses.of_tokens(logprobs, torch.tensor([0])).tolist() == [0.0]
        assert losses.entropy_of(logprobs).tolist() == [0.0]


class TestKL:
    def test_k1_and_k3_by_their_definitions(self) -> None:
        logp, ref = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -0.5]])
        k1 = losses.kl_estimate(logp, ref, "k1")
        k3 = losses.kl_estimate(logp, ref, "k3")
        assert k1.tolist() == [[0.5, -1.5]]
        assert k3[0, 0].item() == pytest.approx(math.exp(-0.5) - 1 + 0.5)
        assert k3[0, 1].item() == pytest.approx(math.exp(1.5) - 1 - 1.5)

    @given(st.integers(0, 1000))
    def test_both_have_the_divergence_as_their_mean(self, seed: int) -> None:
        # given two distributions, and each token with its exact probability
        generator = torch.Generator().manual_seed(seed)
        p, q = torch.randn(2, 9, generator=generator, dtype=torch.float64).log_softmax(-1)
        exact = float((p.exp() * (p - q)).sum())
        # when, then
        for estimator in ("k1", "k3"):
            mean = float((p.exp() * losses.kl_estimate(p, q, estimator)).sum())
            assert mean == pytest.approx(exact, abs=1e-12)

    @given(st.floats(-5, 5), st.floats(-5, 5))
    def test_k3_is_never_negative(self, a: float, b: float) -> None:
        assert losses.kl_estimate(torch.tensor(a), torch.tensor(b), "k3") >= -1e-6


class TestTokenRewards:
    def test_penalty_on_every_token_and_score_on_the_last(self) -> None:
        mask, generator = ragged(3)
        kl, scores = random(mask, generator), torch.randn(5, generator=generator, dtype=torch.float64)
        rewards = losses.token_rewards(scores, kl, 0.3, mask)
        for row in range(5):
            length = int(mask[row].sum())
            for t in range(mask.shape[1]):
                expected = -0.3 * float(kl[row, t]) if t < length else 0.0
                expected += float(scores[row]) if t == length - 1 else 0.0
                assert float(rewards[row, t]) == pytest.approx(expected, abs=1e-12)


class TestGAE:
    @given(st.integers(0, 1000), st.floats(0.5, 1.0), st.floats(0.0, 1.0))
    def test_equals_the_sum_of_discounted_deltas(self, seed: int, gamma: float, lam: float) -> None:
        # given
        mask, generator = ragged(seed)
        rewards, values = random(mask, generator), random(mask, generator)
        # when
        estimates = losses.gae(rewards, values, mask, gamma, lam)
        # then: A_t = sum_l (gamma lambda)^l delta_(t+l), from equation 16, row by row
        for row in range(len(mask)):
            length = int(mask[row].sum())
            r, v = rewards[row, :length].tolist(), [*values[row, :length].tolist(), 0.0]
            deltas = [r[t] + gamma * v[t + 1] - v[t] for t in range(length)]
            for t in range(mask.shape[1]):
                expected = sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, length)) if t < length else 0.0
                assert float(estimates.advantages[row, t]) == pytest.approx(expected, abs=1e-9)
                assert float(estimates.returns[row, t]) == pytest.approx(expected + v[t] if t < length else 0, abs=1e-9)

    def test_lambda_1_gives_the_return_less_the_value(self) -> None:
        mask, generator = ragged(1)
        rewards, values = random(mask, generator), random(mask, generator)
        estimates = losses.gae(rewards, values, mask, 1.0, 1.0)
        togo = (rewards * mask).flip(1).cumsum(1).flip(1) * mask
        torch.testing.assert_close(estimates.returns, togo)

    def test_one_token_alone(self) -> None:
        mask = torch.tensor([[True]])
        estimates = losses.gae(torch.tensor([[2.0]]), torch.tensor([[0.5]]), mask, 0.9, 0.9)
        assert estimates.advantages.item() == 1.5
        assert estimates.returns.item() == 2.0


class TestWhiten:
    def test_mean_0_and_variance_1_over_the_mask(self) -> None:
        mask, generator = ragged(2)
        values = random(mask, generator)
        whitened = losses.whiten(values, mask)
        kept = [float(values[r, t]) for r in range(5) for t in range(7) if mask[r, t]]
        mean = sum(kept) / len(kept)
        sd = math.sqrt(sum((each - mean) ** 2 for each in kept) / (len(kept) - 1) + 1e-8)
        for row in range(5):
            for t in range(7):
                expected = (float(values[row, t]) - mean) / sd if mask[row, t] else 0.0
                assert float(whitened[row, t]) == pytest.approx(expected, abs=1e-9)

    def test_equal_values_and_a_single_one_become_0(self) -> None:
        assert losses.whiten(torch.full((2, 3), 4.0), torch.ones(2, 3, dtype=torch.bool)).abs().max() == 0
        assert losses.whiten(torch.tensor([[3.0, 9.0]]), torch.tensor([[True, False]])).tolist() == [[0.0, 0.0]]


def naive_policy(new: float, old: float, advantage: float, clip: float) -> tuple[float, float]:
    """The loss of one token and its derivative by `new`: -min(rho A, clip(rho) A), equation 7."""
    ratio = math.exp(new - old)
    bounded = min(max(ratio, 1 - clip), 1 + clip)
    if ratio * advantage <= bounded * advantage:
        return -ratio * advantage, -ratio * advantage
    return -bounded * advantage, 0.0


def naive_value(new: float, old: float, target: float, clip: float) -> tuple[float, float]:
    """The loss of one token and its derivative by `new`."""
    near = min(max(new, old - clip), old + clip)
    if (new - target) ** 2 >= (near - target) ** 2:
        return 0.5 * (new - target) ** 2, new - target
    return 0.5 * (near - target) ** 2, 0.0


class TestClippedLosses:
    @given(st.integers(0, 1000), st.sampled_from([0.05, 0.2, 0.5]))
    def test_policy_loss_and_gradient(self, seed: int, clip: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        new, old, advantages = torch.randn(3, 12, generator=generator, dtype=torch.float64)
        new = (old + 0.3 * new).requires_grad_(True)
        loss_of_policy = losses.policy_loss(new, old, advantages, clip)
        gradient = torch.autograd.grad(loss_of_policy.losses.sum(), new)[0]
        for i in range(12):
            loss, slope = naive_policy(new[i].item(), float(old[i]), float(advantages[i]), clip)
            assert float(loss_of_policy.losses[i]) == pytest.approx(loss, abs=1e-12)
            assert float(gradient[i]) == pytest.approx(slope, abs=1e-12)
            assert bool(loss_of_policy.clipped[i]) == (slope == 0.0)

    @given(st.integers(0, 1000))
    def test_value_loss_and_gradient(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        new, old, targets = torch.randn(3, 12, generator=generator, dtype=torch.float64)
        new = (old + 0.3 * new).requires_grad_(True)
        loss_of_values = losses.value_loss(new, old, targets, 0.2)
        gradient = torch.autograd.grad(loss_of_values.losses.sum(), new)[0]
        for i in range(12):
            loss, slope = naive_value(new[i].item(), float(old[i]), float(targets[i]), 0.2)
            assert float(loss_of_values.losses[i]) == pytest.approx(loss, abs=1e-12)
            if abs((new[i] - old[i]).item()) < 0.2 or loss_of_values.clipped[i]:
                assert float(gradient[i]) == pytest.approx(slope, abs=1e-12)

    def test_at_the_old_policy_the_gradient_is_the_policy_gradient(self) -> None:
        old = torch.tensor([-1.0, -2.0])
        new = old.clone().requires_grad_(True)
        advantages = torch.tensor([0.7, -0.4])
        losses.policy_loss(new, old, advantages, 0.2).losses.sum().backward()
        torch.testing.assert_close(new.grad, -advantages)

    def test_without_a_value_clip_it_is_half_the_squared_error(self) -> None:
        loss_of_values = losses.value_loss(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([1.0]), None)
        assert loss_of_values.losses.tolist() == [2.0]
        assert loss_of_values.clipped.tolist() == [False]


class TestExplainedVariance:
    def test_perfect_constant_and_undefined(self) -> None:
        returns, mask = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[True, True, False]])
        assert losses.explained_variance(returns, returns, mask) == 1
        assert losses.explained_variance(torch.zeros(1, 3), returns, mask) == 0
        assert not torch.isfinite(losses.explained_variance(torch.zeros(1, 3), torch.ones(1, 3), mask))


class TestControl:
    def test_the_adaptive_coefficient_follows_ziegler(self) -> None:
        controller = KLController(coef=0.1, target=6.0, horizon=1000)
        controller.update(kl=6.6, replies=50)
        assert controller.coef == pytest.approx(0.1 * (1 + 0.1 * 50 / 1000))
        controller = KLController(coef=0.1, target=6.0, horizon=1000)
        controller.update(kl=60.0, replies=50)  # the error is clipped to 0.2
        assert controller.coef == pytest.approx(0.1 * (1 + 0.2 * 50 / 1000))
        controller.update(kl=0.0, replies=50)
        assert controller.coef == pytest.approx(0.1 * 1.01 * 0.99)

    def test_a_fixed_coefficient_stays(self) -> None:
        controller = KLController(coef=0.1, target=None, horizon=1000)
        controller.update(kl=1e9, replies=50)
        assert controller.coef == 0.1

    @given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5), min_size=1, max_size=5))
    def test_running_moments_are_those_of_all_values(self, batches: list[list[float]]) -> None:
        moments = RunningMoments()
        for batch in batches:
            moments.update(torch.tensor(batch, dtype=torch.float64))
        values = torch.tensor([value for batch in batches for value in batch], dtype=torch.float64)
        assert moments.mean == pytest.approx(values.mean().item(), abs=1e-8)
        if len(values) > 1 and values.std() > 1e-6:
            assert moments.deviation == pytest.approx(values.std().item(), rel=1e-6)

    def test_one_value_or_equal_ones_do_not_scale(self) -> None:
        moments = RunningMoments()
        moments.update(torch.tensor([3.0]))
        assert moments.deviation == 1
        moments.update(torch.tensor([3.0, 3.0]))
        assert moments.deviation == 1

    def test_scores_are_scaled_then_clipped_then_penalised(self) -> None:
        scores, ended = torch.tensor([4.0, 40.0, -40.0, 4.0]), torch.tensor([True, True, True, False])
        assert shape_scores(scores, ended, 2.0, 5.0, 1.5).tolist() == [2.0, 5.0, -5.0, 0.5]
        assert shape_scores(scores, ended, 1.0, None, 0.0).tolist() == scores.tolist()

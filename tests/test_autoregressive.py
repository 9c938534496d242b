"""The autoregressive model: its equations, its least squares, and what a window that is too short or long does."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, noise
from torch import nn
from torch.nn import functional as F

from seqcore.models.autoregressive import Autoregressive, draw, windows
from seqcore.tasks.series import SERIES, Series, split
from seqcore.tasks.story import STORY
from seqcore.tasks.text import Text

SEEDS = range(6)


def drawn_from(seed):
    return torch.Generator().manual_seed(seed)


def model_of(order, hidden=0, vocabulary=0, embedding=3, dtype=torch.float64):
    return Autoregressive(order, hidden, vocabulary, embedding, drawn_from(1)).to(dtype)


@pytest.mark.parametrize("vocabulary", [0, 5])
@pytest.mark.parametrize("hidden", [0, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(batch=st.integers(1, 4), order=st.integers(1, 5), more=st.integers(0, 4))
def test_all_windows_at_once_are_one_window_after_the_other(batch, order, more, dtype, hidden, vocabulary):
    model = model_of(order, hidden, vocabulary, dtype=dtype)
    x = noise(batch, order + more, 1, dtype=dtype)
    of = [x, *model.parameters()]
    if vocabulary:
        x, of = torch.randint(vocabulary, (batch, order + more), generator=drawn_from(0)), of[1:]
    y, trail = model.trace(x)
    assert len(trail) == more + 1
    assert y.shape == (batch, more + 1, vocabulary or 1)
    assert_agree(model(x), y, of)


@pytest.mark.parametrize("hidden", [0, 4])
def test_it_is_a_causal_convolution(hidden):
    model = model_of(3, hidden, vocabulary=5)
    x = torch.randint(5, (2, 9), generator=drawn_from(0))
    W, b = (model.W_w, model.b_w) if hidden else (model.W_y, model.b_y)
    # a window's features stand oldest first, (order, E); a convolution's filter wants (E, order)
    y = F.conv1d(F.embedding(x, model.E).mT, W.view(len(W), 3, 3).mT, b).mT
    y = F.linear(F.relu(y), model.W_y, model.b_y) if hidden else y
    assert_agree(model(x), y, list(model.parameters()))


def test_a_linear_prediction_is_the_weighted_sum_of_its_window():
    model = model_of(2)
    (w_2, w_1), b = model.W_y[0].tolist(), model.b_y.item()
    y, trail = model.trace(torch.tensor([[[5.0], [7.0], [11.0]]], dtype=torch.float64))
    assert y.flatten().tolist() == pytest.approx([5 * w_2 + 7 * w_1 + b, 7 * w_2 + 11 * w_1 + b])
    assert [state.w.tolist() for state in trail] == [[[5, 7]], [[7, 11]]]


def test_what_comes_later_or_lies_before_the_window_changes_no_prediction():
    model = model_of(3, hidden=4)
    x = noise(1, 9, 1)
    gradient = torch.autograd.grad(model(x)[0, 4, 0], x)[0].flatten()
    assert gradient.nonzero().flatten().tolist() == [4, 5, 6]


def test_initial_weights_have_the_sizes_that_torch_draws():
    ours, theirs = Autoregressive(10, 50, 300, 20, drawn_from(0)), nn.Linear(200, 50)
    assert ours.W_w.shape == theirs.weight.shape
    assert ours.W_w.abs().max().item() == pytest.approx(200**-0.5, rel=0.01)
    assert float(ours.W_y.detach().std()) == pytest.approx(50**-0.5 / 3**0.5, rel=0.02)
    assert float(ours.E.detach().std()) == pytest.approx(1, rel=0.02)
    again = Autoregressive(10, 50, 300, 20, drawn_from(0))
    assert all(torch.equal(mine, other) for mine, other in zip(ours.parameters(), again.parameters()))


def test_windows_and_what_follows_them_by_hand():
    w, y = windows(torch.tensor([1, 2, 3, 4, 5]), 3)
    assert w.tolist() == [[1, 2, 3], [2, 3, 4]]
    assert y.tolist() == [4, 5]


def test_least_squares_finds_the_coefficients_of_a_series_without_noise():
    x = [1.0, 2.0]
    for _ in range(20):
        x.append(1.2 * x[-1] - 0.8 * x[-2] + 0.5)
    model = model_of(2).fit(torch.tensor(x))
    assert model.W_y.tolist()[0] == pytest.approx([-0.8, 1.2], abs=1e-5)
    assert model.b_y.item() == pytest.approx(0.5, abs=1e-5)


def test_least_squares_leaves_no_gradient():
    x = SERIES["two tones"](300, drawn_from(0))
    model = model_of(8).fit(x)
    w, y = windows(x, 8)
    F.mse_loss(model(w[..., None]).flatten(), y).backward()
    assert max(float(p.grad.abs().max()) for p in model.parameters()) <= 1e-10


def test_least_squares_takes_the_smallest_of_many_solutions():
    model = model_of(40).fit(torch.sin(0.3 * torch.arange(200).double()))
    assert float(model.W_y.detach().abs().max()) < 0.1
    model = model_of(4).fit(torch.full((20,), 3.0))
    assert model(torch.full((1, 4, 1), 3.0, dtype=torch.float64)).item() == pytest.approx(3)


def test_training_by_gradients_comes_to_the_least_squares():
    x = split(SERIES["AR(2)"](400, drawn_from(0)))[0]
    exact, model = model_of(2).fit(x), model_of(2)
    w, y = windows(x, 2)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.mse_loss(model(w[..., None]).flatten(), y)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert (model.W_y - exact.W_y).abs().max() <= 1e-4


def test_a_forecast_feeds_back_what_it_said():
    model = model_of(2, hidden=4)
    x = noise(3, 5, 1).detach()
    forecast = model.forecast(x, 3)
    row = x
    for step in range(3):
        row = torch.cat([row, model(row)[:, -1:]], dim=1)
        assert torch.allclose(forecast[:, step], row[:, 5 + step])
    # the first step is teacher forcing too; from the second on its window holds its own words
    assert torch.equal(forecast[:, :1], model(x)[:, -1:])


def test_free_running_symbols_are_windows_of_what_was_drawn():
    model = model_of(2, hidden=8, vocabulary=5)
    x = torch.tensor([[1, 2], [3, 4]])
    likeliest = model.sample(x, 6, drawn_from(0), temperature=0)
    row = torch.cat([x, likeliest], dim=1)
    assert torch.equal(model(row)[:, :-1].argmax(-1), likeliest)
    assert torch.equal(model.sample(x, 6, drawn_from(3)), model.sample(x, 6, drawn_from(3)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_have_the_frequencies_of_the_softmax(temperature):
    logits = torch.tensor([2.0, 0.0, -1.0])
    symbols = draw(logits.expand(20_000, 1, 3), drawn_from(0), temperature)
    assert symbols.shape == (20_000, 1)
    seen = torch.bincount(symbols.flatten(), minlength=3) / 20_000
    assert (seen - (logits / temperature).softmax(-1)).abs().max() <= 0.01


def test_a_cold_draw_is_the_likeliest():
    logits = torch.tensor([[10.0, 30.0, 20.0]])
    assert [draw(logits, drawn_from(0), cold).item() for cold in (0, 2e-38)] == [1, 1]
    with pytest.raises(ValueError, match=r"temperature = -1 is less than 0"):
        draw(logits, drawn_from(0), -1)


def error(name, seed, order, ahead=1):
    """Mean squared error `ahead` steps ahead on the held-out part, after least squares on the training part."""
    values = SERIES[name](1000, drawn_from(seed))
    model = Autoregressive(order, generator=drawn_from(0)).fit(split(values)[0])
    x, y, _ = Series(values, order, order).ahead(ahead)
    return float((model.forecast(x, ahead)[:, -1, 0] - y[:, -1]).square().mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_window_can_be_too_short_and_too_long(seed):
    sine = {order: error("sine", seed, order) for order in (1, 16, 256)}
    assert sine[1] / sine[16] >= 1.3
    assert sine[256] / sine[16] >= 1.9
    assert error("two tones", seed, 4) / error("two tones", seed, 16) >= 1.6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_window_cannot_see_far_ahead(seed):
    assert error("two tones", seed, 4, 16) / error("two tones", seed, 4) >= 5
    assert error("sine", seed, 4, 64) / error("sine", seed, 4) >= 3.5
    # while a window that is long enough still knows after 16 steps
    assert error("two tones", seed, 16, 16) <= 0.1


def test_an_ar2_is_predicted_down_to_its_noise_by_two_values():
    errors = [error("AR(2)", seed, 2) for seed in SEEDS]
    assert sum(errors) / len(errors) == pytest.approx(0.04, rel=0.1)


def losses(model, task, *, steps, rate, size, seed, every=50):
    """Held-out loss before training and after every so many steps."""
    generator, optimiser = drawn_from(seed), torch.optim.Adam(model.parameters(), rate, fused=True)
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                yield float(task.loss(model(task.held_out.x), task.held_out))
        batch = task.batch(size, generator)
        optimiser.zero_grad()
        task.loss(model(batch.x), batch).backward()
        optimiser.step()


@pytest.mark.parametrize("make", [lambda: (Text(STORY, 4, 4), 64, 27), lambda: (Text(STORY, 9, 4), 64, 27)])
def test_one_batch_of_text_is_learned_by_heart(make):
    task, hidden, vocabulary = make()
    model = Autoregressive(4, hidden, vocabulary, 8, drawn_from(0))
    batch = task.batch(16, drawn_from(0))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2, fused=True)
    for _ in range(200):
        optimiser.zero_grad()
        loss = task.loss(model(batch.x), batch)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) <= 0.2


@pytest.mark.slow
def test_a_window_of_4_characters_beats_the_counts_and_one_of_32_learns_by_heart():
    best, last = {}, {}
    for order, steps in ((4, 400), (32, 200)):
        task = Text(STORY, order, order)
        model = Autoregressive(order, 64, 27, 8, drawn_from(0))
        seen = [math.exp(loss) for loss in losses(model, task, steps=steps, rate=5e-3, size=128, seed=0)]
        best[order], last[order] = min(seen), seen[-1]
    assert best[4] <= 5.6
    assert best[32] >= 8.5
    assert last[32] > 1.2 * best[32]


def test_training_gives_the_same_in_any_thread():
    task = Text(STORY, 4, 4)

    def final(_):
        model = Autoregressive(4, 16, 27, 8, drawn_from(0))
        return list(losses(model, task, steps=40, rate=5e-3, size=32, seed=0, every=20))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(final, range(6)))
    assert results == results[:1] * 6


def test_wrong_models_and_inputs_are_refused_by_name():
    numbers, symbols = model_of(3), model_of(3, vocabulary=5)
    x = torch.zeros(1, 3, dtype=torch.long)
    for make, message in [
        (lambda: Autoregressive(0), "order = 0 is less than 1"),
        (lambda: Autoregressive(1, hidden=-1), "hidden = -1 is less than 0"),
        (lambda: Autoregressive(1, vocabulary=-1), "vocabulary = -1 is less than 0"),
        (lambda: Autoregressive(1, vocabulary=2, embedding=0), "embedding = 0 is less than 1"),
        (lambda: numbers(torch.zeros(1, 2, 1)), "time = 2 is less than order = 3"),
        (lambda: symbols.trace(x[:, :2]), "time = 2 is less than order = 3"),
        (lambda: windows(torch.zeros(3), 3), "time = 3 is not more than order = 3"),
        (lambda: symbols.fit(torch.zeros(9)), "train this one by gradients"),
        (lambda: model_of(3, hidden=2).fit(torch.zeros(9)), "train this one by gradients"),
        (lambda: symbols.forecast(x, 1), "symbols are drawn with sample"),
        (lambda: numbers.sample(torch.zeros(1, 3, 1), 1, drawn_from(0)), "numbers are predicted with forecast"),
        (lambda: symbols.sample(x, 0, drawn_from(0)), "steps = 0 is less than 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()

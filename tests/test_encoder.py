"""The encoder: torch's layer with every step kept, stacked."""

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import TOLERANCE, assert_agree, gap, gradients, noise
from torch.nn import functional as F

from seqcore.models.attention import padding
from seqcore.models.encoder import NORMS, Encoder, EncoderLayer
from seqcore.models.positions import POSITIONS

# At least four features: the layer norm of two is nearly their sign, which float32 cannot differentiate to 1e-5.
sizes = st.fixed_dictionaries(
    {"batch": st.integers(1, 3), "time": st.integers(1, 5), "heads": st.integers(1, 4)}
    | {"d": st.integers(4, 6), "feedforward": st.integers(1, 7)}
)


def own(seed=1):
    return torch.Generator().manual_seed(seed)


def layer_of(size, dtype=torch.float64, **options):
    return EncoderLayer(size["heads"] * size["d"], size["heads"], size["feedforward"], generator=own(), **options).to(
        dtype
    )


def encoder_of(layers=2, dtype=torch.float64, **options):
    return Encoder(5, 8, 2, 6, layers, generator=own(), **options).to(dtype)


def symbols(*shape, below=5):
    return torch.randint(0, below, shape, generator=own(2))


def gradients_by_twins_names(model, y, x):
    """The gradients of a layer's weights, joined and named as the twin's."""
    a, f = model.attention, model.feedforward
    norms = [around.before if norm_of(around.before) else around.after for around in arounds(model)]
    groups = {
        "self_attn.in_proj_weight": [a.W_q, a.W_k, a.W_v],
        "self_attn.in_proj_bias": [a.b_q, a.b_k, a.b_v],
        "self_attn.out_proj.weight": [a.W_o],
        "self_attn.out_proj.bias": [a.b_o],
        "linear1.weight": [f.W_1],
        "linear1.bias": [f.b_1],
        "linear2.weight": [f.W_2],
        "linear2.bias": [f.b_2],
        "norm1.weight": [norms[0].weight],
        "norm1.bias": [norms[0].bias],
        "norm2.weight": [norms[1].weight],
        "norm2.bias": [norms[1].bias],
    }
    flat = list(gradients(y, [x, *(weight for group in groups.values() for weight in group)]))
    named = {"x": flat.pop(0)}
    for name, group in groups.items():
        named[name] = torch.cat([flat.pop(0) for _ in group])
    return named


def arounds(model):
    return [model.around_attention, model.around_feedforward]


def norm_of(module):
    return isinstance(module, torch.nn.LayerNorm)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["pre", "post"])
@given(size=sizes, padded=st.booleans())
def test_layer_and_torch_agree_in_values_and_every_gradient(size, padded, norm, dtype):
    model = layer_of(size, dtype, norm=norm)
    twin = model.twin()
    x = noise(size["batch"], size["time"], size["heads"] * size["d"], dtype=dtype)
    mask = padding(torch.ones(size["batch"], dtype=torch.long), size["time"]) if padded else None
    theirs = twin(x, src_key_padding_mask=None if mask is None else ~mask[:, 0])
    y = model(x, mask)
    ours = gradients_by_twins_names(model, y, x)
    twins = {"x": x, **dict(twin.named_parameters())}
    assert ours.keys() == twins.keys()
    assert gap(y, theirs) <= TOLERANCE[dtype]
    for mine, other in zip(ours.values(), gradients(theirs, [twins[name] for name in ours]), strict=True):
        assert gap(mine, other) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@given(size=sizes)
def test_fast_and_traced_layer_agree_in_values_and_every_gradient(size, norm, residual, dtype):
    model = layer_of(size, dtype, norm=norm, residual=residual)
    x = noise(size["batch"], size["time"], size["heads"] * size["d"], dtype=dtype)
    assert_agree(model(x), model.trace(x)[0], [x, *model.parameters()])


@pytest.mark.parametrize(
    ("norm", "residual", "formula"),
    [
        ("post", True, lambda x, f, LN: LN(x + f(x))),
        ("pre", True, lambda x, f, LN: x + f(LN(x))),
        ("none", True, lambda x, f, LN: x + f(x)),
        ("post", False, lambda x, f, LN: LN(f(x))),
        ("pre", False, lambda x, f, LN: f(LN(x))),
        ("none", False, lambda x, f, LN: f(x)),
    ],
)
def test_what_stands_around_a_sublayer_is_the_formula(norm, residual, formula):
    model = EncoderLayer(4, 2, 3, norm, residual, generator=own()).double()
    x = noise(2, 3, 4)
    y, steps = model.trace(x)

    def LN(x):
        return F.layer_norm(x, (4,))

    mixed = formula(x, model.attention, LN)
    assert gap(steps.mixed, mixed) <= 1e-12
    assert gap(y, formula(mixed, model.feedforward, LN)) <= 1e-12
    assert steps.y is y


def test_feed_forward_is_two_matrices_with_a_bend_between():
    model = EncoderLayer(1, 1, 2, generator=own()).double().feedforward
    (u, v), (a, b), ((c, d),), e = (p.tolist() for p in (model.W_1, model.b_1, model.W_2, model.b_2))
    x = 0.7
    hand = c * max(0, u[0] * x + a) + d * max(0, v[0] * x + b) + e[0]
    assert model(torch.tensor([[[x]]]).double()).item() == pytest.approx(hand)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_stack_is_embedding_layers_last_norm_and_readout(norm, positions):
    model = encoder_of(norm=norm, positions=positions, outputs=3)
    x = symbols(2, 4)
    y, trail = model.trace(x)
    assert_agree(model(x), y, list(model.parameters()))
    assert gap(trail[0].x, model.embedding(x)) == 0
    assert trail[0].y is trail[1].x
    last = F.layer_norm(trail[-1].y, (8,)) if norm == "pre" else trail[-1].y
    assert gap(y, last @ model.W_y.T + model.b_y) <= 1e-12


def test_symbols_pick_the_rows_that_numbers_mix():
    model, x = encoder_of(), symbols(2, 4)
    assert gap(model(F.one_hot(x, 5).double()), model(x)) <= 1e-12


@pytest.mark.parametrize("positions", POSITIONS)
def test_padded_rows_are_the_rows_alone_whatever_stands_in_the_padding(positions):
    model, x, lengths = encoder_of(positions=positions, outputs=3), symbols(3, 6), torch.tensor([6, 2, 4])
    padded = model(x, lengths)
    assert gap(model.trace(x, lengths)[0], padded) <= 1e-12
    for row, length in enumerate(lengths):
        assert gap(padded[row : row + 1, :length], model(x[row : row + 1, :length])) <= 1e-12
        assert not padded[row, length:].any()
    spoiled = x.clone()
    spoiled[1, 2:], spoiled[2, 4:] = 0, 1
    weights = list(model.parameters())
    for clean, other in zip(gradients(padded, weights), gradients(model(spoiled, lengths), weights), strict=True):
        assert gap(clean, other) <= 1e-12


def test_an_empty_row_gives_zeros_and_finite_gradients():
    model = encoder_of()
    y = model(symbols(2, 3), torch.tensor([3, 0]))
    assert not y[1].any()
    assert all(g.isfinite().all() for g in gradients(y, list(model.parameters())))


def test_without_positions_the_encoder_sees_a_set():
    order, x = torch.tensor([3, 0, 4, 1, 2]), symbols(2, 5)
    blind, seeing = encoder_of(positions="none"), encoder_of(positions="sinusoidal")
    assert gap(blind(x[:, order]), blind(x)[:, order]) <= 1e-12
    assert gap(seeing(x[:, order]), seeing(x)[:, order]) > 1e-2


def test_arms_start_from_equal_weights():
    first = dict(encoder_of(outputs=3).named_parameters())
    for options in [dict(norm="post"), dict(norm="none", residual=False), *(dict(positions=p) for p in POSITIONS)]:
        for name, weight in encoder_of(outputs=3, **options).named_parameters():
            if name in first:
                assert torch.equal(weight, first[name]), (options, name)


def test_gradients_of_all_states_come_from_one_backward_pass():
    model = encoder_of(layers=3, outputs=2)
    y, trail = model.trace(symbols(2, 4))
    states = [trail[0].x, *(steps.y for steps in trail)]
    found = torch.autograd.grad(y.sum(), [*states, trail[1].attention.weights])
    assert all(g.norm() > 0 for g in found)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_encoder_learns_one_batch_by_heart(norm, positions):
    model = encoder_of(layers=1, dtype=torch.float32, outputs=5, norm=norm, positions=positions)
    x = symbols(4, 5)
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(150):
        loss = F.cross_entropy(model(x).flatten(0, 1), x.flip(1).flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05
    assert torch.equal(model(x).argmax(-1), x.flip(1))


def test_threads_with_own_generators_give_equal_weights_and_steps():
    def train(found, i):
        generator = own()
        model = Encoder(5, 8, 2, 6, 2, outputs=5, positions="learned", generator=generator)
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(10):
            x = torch.randint(0, 5, (4, 6), generator=generator)
            optimiser.zero_grad()
            F.cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()
            optimiser.step()
        found[i] = torch.cat([weight.detach().flatten() for weight in model.parameters()])

    found = [None] * 4
    threads = [threading.Thread(target=train, args=(found, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(weights, found[0]) for weights in found[1:])


def test_building_and_running_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    model = encoder_of(outputs=2, positions="learned")
    model(symbols(1, 3)).sum().backward()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_impossible_layers_are_named_with_their_limits():
    with pytest.raises(ValueError, match="norm = 'batch' is not one of pre, post, none"):
        EncoderLayer(4, 2, 3, norm="batch")
    with pytest.raises(ValueError, match="width = 5 is not a multiple of heads = 2"):
        EncoderLayer(5, 2, 3)
    with pytest.raises(ValueError, match="feedforward = 0 is less than 1"):
        EncoderLayer(4, 2, 0)
    with pytest.raises(ValueError, match="layers = -1 is less than 0"):
        Encoder(5, 4, 2, 3, -1)
    with pytest.raises(ValueError, match="inputs = 0 is less than 1"):
        Encoder(0, 4, 2, 3, 1)
    with pytest.raises(ValueError, match="positions = 'alibi' is not one of"):
        Encoder(5, 4, 2, 3, 1, positions="alibi")


@pytest.mark.parametrize("options", [dict(norm="none"), dict(residual=False), dict(positions="rotary")])
def test_twins_torch_lacks_are_refused(options):
    with pytest.raises(ValueError, match=r"torch\.nn"):
        EncoderLayer(4, 2, 3, **options).twin()

"""The decoder: torch's layer with every step kept; nothing sees the future, and the past is computed once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import TOLERANCE, assert_agree, gap, gradients, noise
from torch.nn import functional as F

from seqcore.models.attention import causal, padding
from seqcore.models.decoder import Decoder, DecoderLayer, Edit
from seqcore.models.positions import POSITIONS

# At least four features: the layer norm of two is nearly their sign, which float32 cannot differentiate to 1e-5.
sizes = st.fixed_dictionaries(
    {"batch": st.integers(1, 3), "time": st.integers(1, 5), "memory": st.integers(1, 5)}
    | {"heads": st.integers(1, 4), "d": st.integers(4, 6)}
)


def own(seed=1):
    return torch.Generator().manual_seed(seed)


def decoder_of(layers=2, dtype=torch.float64, **options):
    return Decoder(5, 8, 2, 6, layers, generator=own(), **options).to(dtype)


def tokens_of(*shape, seed=2):
    return torch.randint(0, 5, shape, generator=own(seed))


def layer_and_inputs(size, dtype=torch.float64, **options):
    width = size["heads"] * size["d"]
    model = DecoderLayer(width, size["heads"], 2 * width, generator=own(), **options).to(dtype)
    x = noise(size["batch"], size["time"], width, dtype=dtype)
    return model, x, noise(size["batch"], size["memory"], width, dtype=dtype, seed=1)


def weights_by_twins_names(model):
    """The layer's weights, in groups that are one weight of the twin each."""
    f = model.feedforward
    groups = {"linear1.weight": [f.W_1], "linear1.bias": [f.b_1], "linear2.weight": [f.W_2], "linear2.bias": [f.b_2]}
    for name, a in [("self_attn", model.attention), ("multihead_attn", model.cross)]:
        groups[f"{name}.in_proj_weight"] = [a.W_q, a.W_k, a.W_v]
        groups[f"{name}.in_proj_bias"] = [a.b_q, a.b_k, a.b_v]
        groups[f"{name}.out_proj.weight"] = [a.W_o]
        groups[f"{name}.out_proj.bias"] = [a.b_o]
    for i, around in enumerate([model.around_attention, model.around_cross, model.around_feedforward], start=1):
        norm = around.before if isinstance(around.before, torch.nn.LayerNorm) else around.after
        groups[f"norm{i}.weight"], groups[f"norm{i}.bias"] = [norm.weight], [norm.bias]
    return groups


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["pre", "post"])
@given(size=sizes, is_causal=st.booleans(), padded=st.booleans())
def test_layer_and_torch_agree_in_values_and_every_gradient(size, is_causal, padded, norm, dtype):
    model, x, memory = layer_and_inputs(size, dtype, norm=norm, causal=is_causal)
    twin = model.twin()
    seen = padding(torch.ones(size["batch"], dtype=torch.long), size["memory"]) if padded else None
    theirs = twin(
        x,
        memory,
        tgt_mask=~causal(size["time"]) if is_causal else None,
        memory_key_padding_mask=~seen[:, 0] if padded else None,
    )
    y = model(x, memory, seen)
    groups = weights_by_twins_names(model)
    assert groups.keys() == dict(twin.named_parameters()).keys()
    dx, dmemory, *flat = gradients(y, [x, memory, *(weight for group in groups.values() for weight in group)])
    ours = [dx, dmemory, *(torch.cat([flat.pop(0) for _ in group]) for group in groups.values())]
    twins = gradients(theirs, [x, memory, *(twin.get_parameter(name) for name in groups)])
    assert gap(y, theirs) <= TOLERANCE[dtype]
    for mine, other in zip(ours, twins, strict=True):
        assert gap(mine, other) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(size=sizes, is_causal=st.booleans(), cross=st.booleans(), norm=st.sampled_from(["pre", "post", "none"]))
def test_fast_and_traced_layer_agree_in_values_and_every_gradient(size, is_causal, cross, norm, dtype):
    model, x, memory = layer_and_inputs(size, dtype, norm=norm, causal=is_causal, cross=cross)
    memory = memory if cross else None
    y, steps = model.trace(x, memory)
    of = [x, *([memory] if cross else []), *model.parameters()]
    assert_agree(model(x, memory), y, of)
    assert (steps.cross is None) == (not cross)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("cross", [True, False])
def test_future_tokens_change_nothing_before_them(cross, positions):
    model, memory = decoder_of(cross=cross, positions=positions), noise(2, 3, 8).detach() if cross else None
    tokens = tokens_of(2, 6)
    for t in range(1, 6):
        other = tokens.clone()
        other[:, t:] = (other[:, t:] + 1) % 5
        assert torch.equal(model(other, memory)[:, :t], model(tokens, memory)[:, :t])
        assert gap(model(other, memory)[:, t], model(tokens, memory)[:, t]) > 1e-3


def test_a_decoder_that_is_not_causal_sees_the_future():
    model, tokens = decoder_of(cross=False, causal=False), tokens_of(2, 6)
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % 5
    assert gap(model(other)[:, 0], model(tokens)[:, 0]) > 1e-3


@pytest.mark.parametrize("cross", [True, False])
def test_fast_and_traced_stack_agree_in_values_and_every_gradient(cross):
    model, memory = decoder_of(cross=cross), noise(2, 3, 8) if cross else None
    lengths = torch.tensor([3, 1]) if cross else None
    logits, trail = model.trace(tokens_of(2, 4), memory, lengths)
    of = [*([memory] if cross else []), *model.parameters()]
    assert_agree(model(tokens_of(2, 4), memory, lengths), logits, of)
    assert len(trail) == 2
    assert trail[0].y is trail[1].x
    if cross:
        assert trail[1].cross.weights.shape == (2, 2, 4, 3)
        assert not trail[1].cross.weights[1, :, :, 1:].any()


def test_padding_of_the_memory_is_not_read():
    model, memory = decoder_of(), noise(2, 3, 8).detach()
    spoiled = memory.clone()
    spoiled[1, 1:] = 100.0
    lengths = torch.tensor([3, 1])
    assert gap(model(tokens_of(2, 4), spoiled, lengths), model(tokens_of(2, 4), memory, lengths)) <= 1e-12
    assert gap(model(tokens_of(2, 4)[1:], memory[1:, :1]), model(tokens_of(2, 4), memory, lengths)[1:]) <= 1e-12


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm", ["pre", "post"])
@given(cuts=st.sets(st.integers(1, 5)), cross=st.booleans())
def test_tokens_in_pieces_give_what_they_give_at_once(cuts, cross, norm, positions):
    model, memory = decoder_of(norm=norm, cross=cross, positions=positions), noise(2, 3, 8) if cross else None
    tokens, lengths = tokens_of(2, 6), torch.tensor([3, 2]) if cross else None
    whole, trail = model.trace(tokens, memory, lengths)
    pieces, past = [], None
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 6]):
        logits, past = model.trace(tokens[:, start:end], memory, lengths, past)
        pieces.append(logits)
    assert gap(torch.cat(pieces, 1), whole) <= 1e-12
    assert gap(past[-1].attention.k, trail[-1].attention.k) <= 1e-12


def test_a_past_is_left_as_it_was():
    model, tokens = decoder_of(cross=False), tokens_of(1, 4)
    _, past = model.trace(tokens[:, :2])
    kept = [steps.attention.k.clone() for steps in past]
    one, _ = model.trace(tokens[:, 2:], past=past)
    two, _ = model.trace(tokens[:, 2:], past=past)
    assert torch.equal(one, two)
    assert all(torch.equal(steps.attention.k, k) for steps, k in zip(past, kept))


def test_one_row_of_one_map_can_be_edited():
    model, tokens, memory = decoder_of(), tokens_of(2, 4), noise(2, 3, 8).detach()
    plain, before = model.trace(tokens, memory)
    row = torch.tensor([0.0, 0.0, 1.0])
    edited, after = model.trace(tokens, memory, edit=Edit(layer=1, head=0, row=2, weights=row))
    assert after[1].cross.weights[:, 0, 2].tolist() == [[0, 0, 1], [0, 0, 1]]
    untouched = torch.ones(2, 4, dtype=torch.bool)
    untouched[0, 2] = False
    assert torch.equal(after[1].cross.weights[:, untouched], before[1].cross.weights[:, untouched])
    assert torch.equal(after[0].cross.weights, before[0].cross.weights)
    assert torch.equal(edited[:, [0, 1, 3]], plain[:, [0, 1, 3]])  # the last layer: no later step has read it yet
    assert gap(edited[:, 2], plain[:, 2]) > 1e-3


def test_an_edit_that_changes_nothing_changes_nothing():
    model, tokens, memory = decoder_of(), tokens_of(1, 4), noise(1, 3, 8).detach()
    plain, trail = model.trace(tokens, memory)
    same = Edit(layer=0, head=1, row=3, weights=trail[0].cross.weights[0, 1, 3])
    assert gap(model.trace(tokens, memory, edit=same)[0], plain) <= 1e-12


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("cross", [True, False])
def test_decoder_learns_one_batch_by_heart(cross, norm):
    model = decoder_of(layers=1, dtype=torch.float32, norm=norm, cross=cross)
    tokens = tokens_of(4, 6)
    # Without a memory the first token alone must tell the row.
    tokens[:, 0] = torch.arange(4)
    memory = noise(4, 3, 8, dtype=torch.float32).detach() if cross else None
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(150):
        loss = F.cross_entropy(model(tokens[:, :-1], memory).flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05


def test_impossible_decoders_are_named_with_their_limits():
    memory = torch.zeros(1, 3, 8)
    with pytest.raises(ValueError, match="layers = 0 is less than 1"):
        decoder_of(layers=0)
    with pytest.raises(ValueError, match="given no memory, but made with cross = True"):
        decoder_of()(tokens_of(1, 2))
    with pytest.raises(ValueError, match="given a memory, but made with cross = False"):
        decoder_of(cross=False)(tokens_of(1, 2), memory.double())
    with pytest.raises(ValueError, match=r"lengths = \[2\] are given, but no memory"):
        decoder_of(cross=False)(tokens_of(1, 2), lengths=torch.tensor([2]))
    model = decoder_of(cross=False, causal=False)
    with pytest.raises(ValueError, match="without causal = True later tokens change them"):
        model.trace(tokens_of(1, 2), past=model.trace(tokens_of(1, 2))[1])
    with pytest.raises(ValueError, match="cross = False has no twin"):
        DecoderLayer(4, 2, 3, cross=False).twin()
    with pytest.raises(ValueError, match=r"torch\.nn has layers with"):
        DecoderLayer(4, 2, 3, norm="none").twin()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(2, 0, 0, torch.ones(3)), "edit.layer = 2 is not between 0 and 1"),
        (Edit(0, 2, 0, torch.ones(3)), "edit.head = 2 is not between 0 and 1"),
        (Edit(0, 0, -1, torch.ones(3)), "edit.row = -1 is less than 0"),
        (Edit(0, 0, 0, torch.ones(4)), r"edit.weights has shape \(4,\); the memory has 3 steps"),
    ],
)
def test_edits_outside_the_maps_are_refused(edit, message):
    with pytest.raises(ValueError, match=message):
        decoder_of().trace(tokens_of(1, 2), noise(1, 3, 8), edit=edit)

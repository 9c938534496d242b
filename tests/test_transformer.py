"""Encoder and decoder together: taught, and writing by themselves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, gap
from torch.nn import functional as F

from seqcore.models.decoder import Decoder, Edit
from seqcore.models.transformer import Transformer, decode, extend

START, END = 0, 1


def own(seed=1):
    return torch.Generator().manual_seed(seed)


def model_of(dtype=torch.float64, **options):
    return Transformer(6, 5, 8, 2, 12, generator=own(), **options).to(dtype)


def symbols(*shape, below=6, seed=2):
    return torch.randint(0, below, shape, generator=own(seed))


def written_again(model, source, limit, choose, lengths=None):
    """What the model writes when everything is computed afresh for every token."""
    target, probabilities = torch.full((len(source), 1), START), []
    for _ in range(limit):
        p = model(source, target, lengths)[:, -1].softmax(-1)
        probabilities.append(p)
        target = torch.cat([target, choose(p)], 1)
    return target[:, 1:], torch.stack(probabilities, 1)


@pytest.mark.parametrize("encoder_layers", [0, 1, 2])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_fast_and_traced_transformer_agree_in_values_and_every_gradient(norm, encoder_layers):
    model = model_of(norm=norm, encoder_layers=encoder_layers)
    source, target, lengths = symbols(3, 5), symbols(3, 4, below=5), torch.tensor([5, 1, 3])
    logits, trail = model.trace(source, target, lengths)
    assert logits.shape == (3, 4, 5)
    assert (len(trail.encoder), len(trail.decoder)) == (encoder_layers, 1)
    assert_agree(model(source, target, lengths), logits, list(model.parameters()))


def test_more_padding_of_the_source_changes_nothing():
    model, source, target = model_of(), symbols(3, 5), symbols(3, 4, below=5)
    lengths = torch.tensor([5, 2, 3])
    longer = torch.cat([source, symbols(3, 7, seed=5)], 1)
    assert gap(model(longer, target, lengths), model(source, target, lengths)) <= 1e-12
    assert gap(model(longer, target), model(source, target)) > 1e-3


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
@pytest.mark.parametrize("causal", [True, False])
def test_likeliest_tokens_are_those_of_computing_everything_afresh(causal, positions):
    model = model_of(causal=causal, decoder_layers=2, positions=positions)
    source, lengths = symbols(4, 5), torch.tensor([5, 2, 1, 4])
    tokens, probabilities = written_again(model, source, 6, lambda p: p.argmax(-1, keepdim=True), lengths)
    written = decode(model, source, START, None, 6, source_lengths=lengths)
    assert torch.equal(written.tokens, tokens)
    assert gap(written.probabilities, probabilities) <= 1e-12


def test_drawn_tokens_are_those_of_computing_everything_afresh():
    model, source, generator = model_of(), symbols(4, 5), own(9)
    tokens, _ = written_again(model, source, 8, lambda p: p.multinomial(1, generator=generator))
    written = decode(model, source, START, None, 8, temperature=1.0, generator=own(9))
    assert torch.equal(written.tokens, tokens)
    assert len(written.tokens.unique()) > 1


@given(temperature=st.floats(0.1, 10))
def test_temperature_divides_the_logits(temperature):
    model, source = model_of(), symbols(2, 5)
    plain = model(source, torch.full((2, 1), START))[:, -1]
    p = decode(model, source, START, None, 1, temperature, own(3)).probabilities[:, 0]
    assert gap(p, (plain / temperature).softmax(-1)) <= 1e-12


def test_a_row_that_has_ended_goes_on_with_end_and_all_ended_stop():
    model, source = model_of(), symbols(64, 5)
    written = decode(model, source, START, END, 40, temperature=1.0, generator=own(4)).tokens
    for row in written.tolist():
        assert END in row
        assert set(row[row.index(END) :]) == {END}
    assert written.shape[1] == max(row.index(END) for row in written.tolist()) + 1 < 40
    assert len({row.index(END) for row in written.tolist()}) > 1


def test_weights_tell_how_the_source_was_read_for_every_token():
    model, source, lengths = model_of(decoder_layers=2), symbols(3, 5), torch.tensor([5, 1, 3])
    written = decode(model, source, START, None, 4, source_lengths=lengths)
    assert written.weights.shape == (3, 2, 2, 4, 5)
    given_back = torch.cat([torch.full((3, 1), START), written.tokens[:, :-1]], 1)
    trail = model.trace(source, given_back, lengths)[1].decoder
    assert gap(written.weights, torch.stack([steps.cross.weights for steps in trail], 1)) <= 1e-12
    assert not written.weights[1, ..., 1:].any()


def test_an_edited_row_is_read_from_and_what_follows_is_written_anew():
    model, source = model_of(decoder_layers=2), symbols(1, 5)
    row = torch.tensor([0.0, 0, 0, 0, 1])
    edit = Edit(layer=0, head=1, row=2, weights=row)
    plain, edited = decode(model, source, START, None, 6), decode(model, source, START, None, 6, edit=edit)
    assert edited.weights[0, 0, 1, 2].tolist() == row.tolist()
    assert torch.equal(edited.probabilities[:, :2], plain.probabilities[:, :2])
    assert gap(edited.probabilities[:, 2], plain.probabilities[:, 2]) > 1e-4
    again = torch.cat([torch.full((1, 1), START), edited.tokens[:, :-1]], 1)
    logits, _ = model.trace(source, again, edit=edit)
    assert gap(edited.probabilities, logits.softmax(-1)) <= 1e-12


def test_a_decoder_alone_goes_on_where_the_prompt_ends():
    decoder = Decoder(5, 8, 2, 12, 2, cross=False, generator=own()).double()
    prompt = symbols(2, 3, below=5)
    written = extend(decoder, prompt, None, 4)
    assert written.weights is None
    whole = torch.cat([prompt, written.tokens], 1)
    logits = decoder(whole[:, :-1])[:, 2:]
    assert torch.equal(written.tokens, logits.argmax(-1))
    assert gap(written.probabilities, logits.softmax(-1)) <= 1e-12


def test_writing_does_not_remember_gradients_or_touch_the_global_generator():
    before = torch.random.get_rng_state()
    written = decode(model_of(), symbols(2, 5), START, END, 5, temperature=0.7, generator=own())
    assert not any(part.requires_grad for part in written)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_transformer_learns_to_reverse_one_batch_and_writes_it():
    model = model_of(torch.float32)
    source = torch.randint(2, 5, (4, 4), generator=own(7))
    answer = torch.cat([source.flip(1), torch.full((4, 1), END)], 1)
    shown = torch.cat([torch.full((4, 1), START), answer[:, :-1]], 1)
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(150):
        loss = F.cross_entropy(model(source, shown).flatten(0, 1), answer.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05
    assert torch.equal(decode(model, source, START, END, 9).tokens, answer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(limit=0), "limit = 0 is less than 1"),
        (dict(temperature=0.0, generator=own()), "temperature = 0.0 is not above 0"),
        (dict(temperature=1.0), "temperature = 1.0 draws tokens, but there is no generator"),
        (dict(prompt=torch.zeros(2, 0, dtype=torch.long)), r"prompt has shape \(2, 0\)"),
    ],
)
def test_impossible_wishes_are_named_with_their_limits(options, message):
    decoder = Decoder(5, 8, 2, 12, 1, cross=False, generator=own())
    with pytest.raises(ValueError, match=message):
        extend(decoder, **{"prompt": symbols(2, 1, below=5), "end": None, "limit": 3, **options})

"""Knobs: one line says the limit, the message, the address and the corners."""

import math
import pickle
from dataclasses import FrozenInstanceError, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqcore import knobs
from seqcore.knobs import knob


@dataclass(frozen=True)
class Config(knobs.Repeated):
    hidden: int = knob(16, "Hidden size", 2, 64)
    gain: float = knob(1.0, "Gain", 0.1, 5.0)
    rate: float = knob(0.003, "Learning rate", 1e-4, 0.1, scale="log")
    cell: str = knob("RNN", "Cell", choices=("RNN", "LSTM"))
    heads: int = knob(2, "Heads", choices=(1, 2, 4))
    masked: bool = knob(True, "Mask")
    text: str = knob("abc", "Text", high=20)


def test_a_config_is_frozen_hashable_and_picklable():
    config = Config(hidden=8)
    with pytest.raises(FrozenInstanceError):
        config.hidden = 9
    assert {config: 1}[Config(hidden=8)] == 1
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.but(hidden=16) == Config()
    assert list(config.repetitions) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 65}, "hidden = 65 is not a whole number from 2 to 64"),
        ({"hidden": 2.5}, "hidden = 2.5 is not a whole number from 2 to 64"),
        ({"hidden": True}, "hidden = True is not a whole number from 2 to 64"),
        ({"hidden": "8"}, "hidden = '8' is not a whole number"),
        ({"gain": math.nan}, "gain = nan is not a number from 0.1 to 5.0"),
        ({"gain": math.inf}, "gain = inf is not a number from 0.1 to 5.0"),
        ({"cell": "Transformer"}, "cell = 'Transformer' is not one of RNN, LSTM"),
        ({"heads": 3}, "heads = 3 is not one of 1, 2, 4"),
        ({"masked": 1}, "masked = 1 is not true or false"),
        ({"text": "x" * 21}, "is not a text of at most 20 characters"),
        ({"cell": ["RNN"]}, "is not one of RNN, LSTM"),
    ],
)
def test_a_bad_value_is_refused_by_name_value_and_limit(change, message):
    with pytest.raises(ValueError, match=message):
        Config(**change)


def test_a_long_bad_value_is_shortened_in_its_message():
    with pytest.raises(ValueError) as refusal:
        Config(text="y" * 10_000)
    assert len(str(refusal.value)) < 120


@pytest.mark.parametrize(
    ("name", "text", "value", "told"),
    [
        ("hidden", "40", 40, ""),
        ("hidden", "1000000", 64, "hidden = '1000000' is not a whole number from 2 to 64; using 64"),
        ("hidden", "abc", 16, "hidden = 'abc' is not a whole number from 2 to 64; using 16"),
        ("hidden", "nan", 16, "using 16"),
        ("hidden", "inf", 64, "using 64"),
        ("hidden", "7.9", 8, "using 8"),
        ("gain", "-3", 0.1, "using 0.1"),
        ("rate", "0.004", 0.005, "using 0.005"),
        ("cell", "GRU", "RNN", "using RNN"),
        ("heads", "4", 4, ""),
        ("masked", "false", False, ""),
        ("masked", "maybe", True, "using true"),
        ("text", "hello", "hello", ""),
        ("text", "z" * 50, "z" * 20, "text was cut to 20 characters"),
    ],
)
def test_an_address_gives_the_nearest_legal_value_and_says_what_was_wrong(name, text, value, told):
    got, message = Config.knobs()[name].read(text)
    assert got == value
    assert type(got) is type(value)
    assert message.endswith(told) if told else not message


@given(name=st.sampled_from(sorted(Config.knobs())), text=st.text(max_size=60))
def test_whatever_stands_in_an_address_becomes_a_legal_config(name, text):
    value, _ = Config.knobs()[name].read(text)
    assert getattr(Config(**{name: value}), name) == value


@given(hidden=st.integers(2, 64), gain=st.floats(0.1, 5), cell=st.sampled_from(["RNN", "LSTM"]), masked=st.booleans())
def test_address_and_back_is_the_same_config(hidden, gain, cell, masked):
    config = Config(hidden=hidden, gain=gain, cell=cell, masked=masked)
    read = {name: config.knobs()[name].read(text) for name, text in config.address().items()}
    assert not [wrong for _, wrong in read.values() if wrong]
    assert Config(**{name: value for name, (value, _) in read.items()}) == config


def test_only_turned_knobs_stand_in_the_address():
    assert Config().address() == {}
    assert Config(hidden=8, masked=False).address() == {"hidden": "8", "masked": "false"}


def test_all_low_and_all_high_are_legal():
    for end in (0, -1):
        corner = {name: each.corners[end] for name, each in Config.knobs().items()}
        assert Config(**corner).hidden == (2, 64)[end]


def test_a_class_shows_its_own_knobs_before_those_it_inherits_or_changes():
    @dataclass(frozen=True)
    class Changed(knobs.Repeated):
        seeds: int = knob(1, "Seeds", 1, 3)
        depth: int = knob(2, "Depth", 1, 4)

    assert list(Changed.knobs()) == ["depth", "seeds", "seed"]
    assert list(Config.knobs()) == ["hidden", "gain", "rate", "cell", "heads", "masked", "text", "seeds", "seed"]


def test_a_log_scale_offers_1_2_3_5_of_every_decade():
    assert Config.knobs()["rate"].grid == (
        0.0001,
        0.0002,
        0.0003,
        0.0005,
        0.001,
        0.002,
        0.003,
        0.005,
        0.01,
        0.02,
        0.03,
        0.05,
        0.1,
    )


def test_a_default_outside_its_limits_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="99"):
        knob(99, "Too much", 0, 10)

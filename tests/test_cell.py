"""Drawings of cells: every number in them is a number of the record, and they keep their size whatever it is."""

import html
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from seqcore.experiments import gru, lstm, rnn
from seqcore.record import Signal, Snapshot
from view import cell
from view.charts import distinct

CONFIG = lstm.Config(length=12, hidden=4)
GRUS = gru.Config(length=12, hidden=4)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def taken():
    return lstm.step(lstm.at_work(CONFIG), 5, 2)


def parsed(drawing: str) -> ElementTree.Element:
    """The drawing as XML, which also shows that every tag is closed and every letter escaped."""
    return ElementTree.fromstring(drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))[0]


def words(drawing: str) -> list[str]:
    return [text.text or "" for text in parsed(drawing).iter(f"{SVG}text")]


def minus(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def test_all_numbers_of_the_step_stand_in_the_drawing_of_an_lstm(taken):
    v, seen = taken.facts, words(cell.lstm(taken))
    for gate in "fio":
        assert f"{gate} = {v[gate]:.3f}" in seen
    assert f"g = {minus(v['g'])}" in seen
    assert f"cₜ₋₁ = {minus(v['c_before'])}" in seen
    assert f"keeps {minus(v['kept'])}" in seen
    assert f"writes {minus(v['written'])}" in seen
    assert f"cₜ = {minus(v['c'])}" in seen
    assert f"hₜ = {minus(v['h'])}" in seen
    assert f"xₜ = {v['read']}" in seen


def test_a_gate_is_filled_as_far_as_it_is_open(taken):
    boxes = [box for box in parsed(cell.lstm(taken)).iter(f"{SVG}rect") if box.get("width") == "92"]
    filled = {box.get("fill"): float(box.get("height")) for box in boxes if box.get("fill") != "none"}
    height = {float(box.get("height")) for box in boxes if box.get("fill") == "none"}.pop()
    for gate in "fio":
        assert filled[cell.GATES[gate]] / height == pytest.approx(taken.facts[gate], abs=0.01)
    assert filled[cell.GATES["g"]] / height == pytest.approx(abs(taken.facts["g"]) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("stage", "bright"), [("forget", 1), ("input", 1), ("update", 3), ("output", 1), ("", 4)], ids=str
)
def test_only_what_belongs_to_the_stage_stands_out(taken, stage, bright):
    groups = list(parsed(cell.lstm(taken, stage)).iter(f"{SVG}g"))
    assert len(groups) == len(cell.STAGES)
    assert sum(group.get("opacity") == "1" for group in groups) == bright


# --- a GRU -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["torch", "paper"])
def one(request):
    return gru.step(gru.inside(GRUS.but(convention=request.param)), 5, 2)


@pytest.mark.parametrize("lets_in", [False, True])
def test_all_numbers_of_the_step_stand_in_the_drawing_of_a_gru(one, lets_in):
    v, seen = one.facts, words(cell.gru(one, lets_in=lets_in))
    z = 1 - v["z"] if lets_in else v["z"]
    wanted = {f"r = {v['r']:.3f}", f"z = {z:.3f}", f"1−z = {1 - z:.3f}", f"n = {minus(v['n'])}"}
    wanted |= {f"hₜ₋₁ = {minus(v['h_before'])}", f"hₜ = {minus(v['h'])}", f"xₜ = {v['read']}"}
    wanted |= {f"past {minus(v['past'])}", f"keeps {minus(v['kept'])}", f"writes {minus(v['written'])}"}
    assert wanted <= set(seen)


def test_the_other_convention_changes_what_is_shown_of_z_and_nothing_else(one):
    z = one.facts["z"]
    ours, theirs = (words(cell.gru(one, lets_in=lets_in)) for lets_in in (False, True))
    assert set(ours) - set(theirs) == {f"z = {z:.3f}", f"1−z = {1 - z:.3f}"}
    assert set(theirs) - set(ours) == {f"z = {1 - z:.3f}", f"1−z = {z:.3f}"}


@pytest.mark.parametrize("lets_in", [False, True])
def test_what_keeps_is_drawn_in_one_colour_and_what_writes_in_another(one, lets_in):
    svg = parsed(cell.gru(one, lets_in=lets_in))
    boxes = [box for box in svg.iter(f"{SVG}rect") if box.get("width") == "92" and box.get("height") != "54.0"]
    filled = {box.get("fill"): float(box.get("height")) / 54 for box in boxes if box.get("fill-opacity") == "0.35"}
    shown, colour = (1 - one.facts["z"], cell.WRITES) if lets_in else (one.facts["z"], cell.KEEPS)
    assert filled[colour] == pytest.approx(shown, abs=0.01)
    assert filled[cell.RESETS] == pytest.approx(one.facts["r"], abs=0.01)


@pytest.mark.parametrize(("stage", "bright"), [("reset", 1), ("candidate", 2), ("update", 2), ("", 3)], ids=str)
def test_only_what_belongs_to_the_stage_of_a_gru_stands_out(one, stage, bright):
    groups = list(parsed(cell.gru(one, stage)).iter(f"{SVG}g"))
    assert len(groups) == len(cell.GRU_STAGES)
    assert sum(group.get("opacity") == "1" for group in groups) == bright


@pytest.mark.parametrize("lets_in", [False, True])
@pytest.mark.parametrize("stage", [*cell.GRU_STAGES, ""])
def test_the_digits_of_every_stage_of_a_gru_add_up(one, stage, lets_in):
    latex = cell.gru_in_full(one, stage, lets_in).replace("−", "-")
    assert latex.count("&") == latex.count(r"\\") + 1, "one sign of alignment a line"
    found = re.findall(r"(\\sigma|\\tanh)\((\\underbrace.*?)\) = ([-+.\d]+)", latex)
    assert len(found) == (3 if stage == "" else 1)
    for squash, sums, result in found:
        total = sum(map(float, re.findall(r"underbrace\{([-+.\d]+)\}", sums)))
        exact = 1 / (1 + np.exp(-total)) if squash == r"\sigma" else np.tanh(total)
        assert float(result) == pytest.approx(exact, abs=0.0016), "two terms of three digits"
    if stage in ("update", ""):
        mixed = latex[latex.index("h_t &=") :].split(r"\\")
        factors = re.findall(r"\(1 - ([.\d]+)\)\\cdot\(?([-.\d]+)|([.\d]+)\\cdot\(?([-.\d]+)", mixed[1] + mixed[2])
        products = [(1 - float(a)) * float(b) if a else float(c) * float(d) for a, b, c, d in factors]
        written, kept, h = map(float, re.findall(r"[-+]\d\.\d{3}", mixed[3]))
        assert products == pytest.approx([written, kept], abs=0.0016)
        assert h == pytest.approx(written + kept, abs=0.0016)
        assert h == pytest.approx(one.facts["h"], abs=0.0006)
        assert bool(factors[0][0]) != lets_in, "who gets 1 - z depends on the convention"


def test_a_drawing_is_one_line_says_what_it_is_and_keeps_its_size(taken, one):
    moment = lstm.at_work(CONFIG.but(hidden=64, length=100))
    drawings = {
        "460 × 314": [
            *(cell.lstm(taken, "forget"), cell.lstm(lstm.step(moment, 99, 31), "output")),
            *(
                cell.gru(one, "reset"),
                cell.gru(gru.step(gru.inside(GRUS.but(length=100)), 99, 3), "update", lets_in=True),
            ),
        ],
        "420 × 246": [cell.lstm_weights(hidden, inputs) for hidden in (1, 2, 32, 64) for inputs in (2, 8)],
    }
    for size, same in drawings.items():
        for drawing in same:
            svg = parsed(drawing)
            assert "\n" not in drawing
            assert svg.get("role") == "img"
            assert len(svg.get("aria-label")) > 40
            assert " × ".join(svg.get("viewBox").split()[2:]) == size
            assert "min-width:0px" in svg.get("style"), (
                "it shrinks on a phone, and its letters are large enough for that"
            )
            smallest = min(float(text.get("font-size")) for text in svg.iter(f"{SVG}text"))
            assert smallest * 358 / float(svg.get("viewBox").split()[2]) > 10


def test_nothing_is_drawn_outside_of_the_drawing(taken, one):
    for drawing in (
        cell.lstm(taken),
        cell.gru(one),
        cell.gru(one, lets_in=True),
        *(cell.lstm_weights(h, d) for h in (1, 2, 32, 64) for d in (2, 8)),
    ):
        svg = parsed(drawing)
        wide, high = map(float, svg.get("viewBox").split()[2:])
        for box in svg.iter(f"{SVG}rect"):
            x, y, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert x + w <= wide
            assert y + h <= high


@pytest.mark.parametrize(("hidden", "inputs"), [(32, 8), (1, 8), (64, 2)])
def test_matrices_have_the_proportions_of_their_shapes(hidden, inputs):
    boxes = [
        {name: float(box.get(name)) for name in ("x", "width", "height")}
        for box in parsed(cell.lstm_weights(hidden, inputs)).iter(f"{SVG}rect")
    ]
    W_x, W_h = boxes[:4], boxes[5:9]
    assert W_h[0]["width"] / W_x[0]["width"] == pytest.approx(hidden / inputs, rel=0.05)
    assert sum(box["height"] for box in W_h) / W_h[0]["width"] == pytest.approx(4, rel=0.05)
    assert f"{4 * hidden} × {inputs}" in words(cell.lstm_weights(hidden, inputs))


@pytest.mark.parametrize("stage", cell.STAGES)
def test_the_digits_of_every_stage_add_up(taken, stage):
    latex = cell.lstm_in_full(taken, stage).replace("−", "-")
    assert latex.count("&") == latex.count(r"\\") + 1, "one sign of alignment a line"
    for squash, sums, result in re.findall(r"(\\sigma|\\tanh)\((\\underbrace.*?)\) = ([-+.\d]+)", latex):
        total = sum(map(float, re.findall(r"underbrace\{([-+.\d]+)\}", sums)))
        exact = 1 / (1 + 2.718281828**-total) if squash == r"\sigma" else 2 / (1 + 2.718281828 ** (-2 * total)) - 1
        assert float(result) == pytest.approx(exact, abs=0.016), "three terms of two digits"
    if stage == "update":
        kept, written, c = re.findall(r"[-+]\d\.\d{3}", latex.splitlines()[-1])[-3:]
        assert float(c) == pytest.approx(float(kept) + float(written), abs=0.0015)


def test_an_unrolled_network_shows_the_characters_it_reads_escaped():
    states = Signal("states", ("time", "unit"), np.linspace(-1, 1, 12).reshape(4, 3))
    chances = Signal("next", ("time", "symbol"), np.full((4, 3), 1 / 3), {"symbol": ("<", "&", " ")})
    drawing = cell.unrolled(Snapshot(None, 0, [states, chances], {"piece": "<& <&"}), 2)
    assert parsed(drawing).get("role") == "img"
    assert {"t = 2", "<", "&", "␣", "+1.0", "33%"} <= set(words(drawing))


def test_a_step_of_the_unrolled_network_is_looked_at_as_in_the_map_of_its_states():
    picture = rnn.inside(rnn.Config(length=12))
    svg = cell.unrolled(picture, 3)
    ticks = distinct(picture["h"].ticks["time"])
    found = re.findall(r'data-look="time" data-tick="([^"]+)"', svg)
    assert [html.unescape(tick) for tick in found] == ticks[:5]
    units = re.findall(r'data-look="unit" data-tick="([^"]+)"', svg)
    assert set(units) == {str(unit) for unit in picture["h"].ticks["unit"][:10]}

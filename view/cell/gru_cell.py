"""One unit of a GRU at one time step, and its equations in digits."""

from __future__ import annotations

from seqcore.record import Snapshot
from view.cell.parts import GATES, KEEPS, RESETS, WRITES, bracketed, frame, staged, vessel
from view.digits import aligned
from view.strokes import arrow, box, knot, line, signed, svg, text
from view.theme import GREY, TEAL

GRU_STAGES = ("reset", "candidate", "update")
GRU_BEFORE = {"candidate": ("reset",), "update": ("candidate",)}  # stages whose results another one takes


def gru(step: Snapshot, stage: str = "", lets_in: bool = False) -> str:
    """One unit of a GRU at one time step, with its values. What belongs to a stage of GRU_STAGES stands out; "" is all.

    step     of `seqcore.experiments.gru.step`: facts r, z, n, h, h_before, past, kept, written and convention
    lets_in  show 1 - z in place of z, as texts do in which z = 1 lets the candidate in
    """
    v = step.facts
    z, n, r, mix, recall = 80, 240, 402, 200, 328  # where the gates stand, and where two lines meet
    top, past, read = 84, 256, 272  # the lines of the state, of the old state to the gates, and of the input
    shown = 1 - v["z"] if lets_in else v["z"]
    rest = f"1−z = {1 - shown:.3f}"
    if lets_in:  # z goes to the candidate, 1 - z to the old state
        split = [
            line((z, 184), (z, 142), (mix - 14, 142), colour=WRITES),
            line((z, 142), (z, 134), colour=WRITES),
            box(z - 46, 108, 92, 26, rest, KEEPS, 15),
            line((z, 108), (z, top + 14), colour=KEEPS),
        ]
    else:
        split = [
            line((z, 184), (z, top + 14), colour=KEEPS),
            line((z, 142), (z + 10, 142), colour=KEEPS),
            box(z + 10, 129, 88, 26, rest, WRITES, 15),
            line((z + 98, 142), (mix - 14, 142), colour=WRITES),
        ]
    product = (
        (recall + 6, 247) if v["convention"] == "torch" else (n + 49, 203)
    )  # where W_h multiplies: before r, or after
    parts = {
        "reset": [
            *vessel(r, "reset", "r", v["r"], RESETS, signs=False, size=15),
            line((r - 46, 211), (recall + 14, 211), colour=RESETS),
            line((recall, past), (recall, 225), colour=GREY),
            knot(recall, 211, "×", RESETS),
            arrow(recall - 14, 211, n + 47, 211, RESETS),
            text(*product, "Wₕ", 15, anchor="start"),
            text(recall + 6, 176, f"past {signed(v['past'], 3)}", 15),
        ],
        "candidate": [
            *vessel(n, "candidate", "n", v["n"], GATES["g"], signs=True, size=15),
        ],
        "update": [
            line((0, top), (z - 14, top)),
            *split,
            knot(z, top, "×", KEEPS),
            *vessel(z, "update", "z", shown, WRITES if lets_in else KEEPS, signs=False, size=15),
            line((z + 14, top), (mix - 14, top)),
            text((z + mix) / 2, top - 16, f"keeps {signed(v['kept'], 3)}", 15),
            line((n, 184), (n, 142), (mix + 14, 142), colour=GATES["g"]),
            knot(mix, 142, "×", WRITES),
            arrow(mix, 128, mix, top + 15, WRITES),
            text(mix + 10, 119, f"writes {signed(v['written'], 3)}", 15, anchor="start"),
            knot(mix, top, "+", TEAL),
            arrow(mix + 14, top, 460, top, TEAL),
        ],
    }
    wires = [
        frame(242),
        line((26, top), (26, past), (r - 10, past), colour=GREY),
        line((172, 300), (172, read), colour=GREY),
        line((z + 10, read), (r + 10, read), colour=GREY),
        *(arrow(x - 10, past, x - 10, 240, GREY) for x in (z, r)),
        *(arrow(x, read, x, 240, GREY) for x in (z + 10, n, r + 10)),
        text(2, 32, f"hₜ₋₁ = {signed(v['h_before'], 3)}", 16, anchor="start", weight=600),
        text(458, 32, f"hₜ = {signed(v['h'], 3)}", 16, anchor="end", weight=600),
        text(230, 32, f"unit {v['unit']}, t = {v['time']}", 15),
        text(182, 306, f"xₜ = {v['read']}", 16, anchor="start"),
    ]
    told = f"r {v['r']:.3f}, z {shown:.3f}, n {signed(v['n'], 3)}, h {signed(v['h'], 3)}"
    mixed = (
        f"{signed(v['kept'], 3)} is kept of the old state {signed(v['h_before'], 3)}, {signed(v['written'], 3)} is new"
    )
    label = f"GRU cell, unit {v['unit']} at time step {v['time']}: {told}; {mixed}. {'z lets in' if lets_in else 'z keeps'}."
    return svg([*wires, *staged(parts, stage, GRU_BEFORE)], 460, 314, label, fits=True)


def gru_in_full(step: Snapshot, stage: str = "", lets_in: bool = False) -> str:
    """The equations of one stage of GRU_STAGES in LaTeX with the numbers of this step in them; "" is all stages.

    With `lets_in` z is 1 - z, and so the sum of its gate has the other sign.
    """
    v, sums = step.facts, step["sums"]
    z = 1 - v["z"] if lets_in else v["z"]
    (from_n, past_n), torch = sums.sel(gate="n").values.tolist(), v["convention"] == "torch"

    def gate(name: str, value: float) -> str:
        turned = lets_in and name == "z"
        read, past = (signed(-part if turned else part, 3) for part in sums.sel(gate=name).values.tolist())
        of_x, of_h = (f"W_{{{at}{name}}}{to} + b_{{{at}{name}}}" for at, to in (("x", "x_t"), ("h", "h_{t-1}")))
        if turned:
            of_x, of_h = f"-({of_x})", f"-({of_h})"
        return rf"{name}_t &= \sigma(\underbrace{{{read}}}_{{{of_x}}} \underbrace{{{past}}}_{{{of_h}}}) = {value:.3f}"

    def share(factor: str, value: float) -> str:
        return rf"{factor}\cdot{bracketed(value, 3)}"

    rest, kept, new = f"(1 - {z:.3f})", f"{z:.3f}", (r"(1 - z_t)\,n_t", r"z_t\,h_{t-1}")
    if lets_in:
        rest, kept, new = kept, rest, (r"z_t\,n_t", r"(1 - z_t)\,h_{t-1}")
    recalled = [
        r"\text{past} &= " + (r"r_t\,(W_{hn}h_{t-1} + b_{hn})" if torch else r"W_{hn}(r_t \odot h_{t-1}) + b_{hn}"),
        (rf"&= {v['r']:.3f}\cdot{bracketed(past_n, 3)} = " if torch else "&= ") + signed(v["past"], 3),
    ]
    lines = {
        "reset": [gate("r", v["r"]), *recalled],
        "candidate": [
            rf"n_t &= \tanh(\underbrace{{{signed(from_n, 3)}}}_{{W_{{xn}}x_t + b_{{xn}}}} "
            rf"\underbrace{{{signed(v['past'], 3)}}}_{{\text{{past}}}}) = {signed(v['n'], 3)}"
        ],
        "update": [
            gate("z", z),
            rf"h_t &= {new[0]} + {new[1]}",
            rf"&= {share(rest, v['n'])}",
            rf"&\quad + {share(kept, v['h_before'])}",
            rf"&= {signed(v['written'], 3)} {signed(v['kept'], 3)} = {signed(v['h'], 3)}",
        ],
    }
    chosen = lines[stage] if stage else [each for stage in GRU_STAGES for each in lines[stage]]
    return aligned(chosen)

"""Pictures on a page: computed once for the knobs they use, drawn in a chart that the browser keeps, told in words."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from seqcore import knobs
from seqcore.record import Signal, Snapshot
from seqcore.runs import Store
from seqcore.symbols import symbol
from view import charts, rewind, visit

STYLE = """<style>
.figure-head { font-size: 0.875rem; line-height: 1.35 }
#vg-tooltip-element { white-space: pre-line }
.figure-head b { font-weight: 600 }
.legend { display: flex; flex-wrap: wrap; gap: 0 0.9rem }
.legend span { display: inline-flex; align-items: center; gap: 0.35rem; white-space: nowrap }
.legend i { width: 1.1rem; height: 0; border-top: 3px solid var(--tint) }
.legend i.dashed { border-top: 2px dashed var(--tint) }
.legend i.dotted { border-top: 2px dotted var(--tint) }
.legend i.square { width: 0.7rem; height: 0.7rem; border: 0; border-radius: 2px; background: var(--tint) }
[data-testid=stMetric] { padding: 0.5rem 0.8rem }
[data-testid=stMetricValue] { font-size: 1.35rem }
</style>"""


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The runs and pictures of this process."""
    return Store()


def picture(make: Callable[[Any], Snapshot], config: knobs.Config) -> Snapshot:
    """A picture that needs no training, computed once for the knobs it declares with `uses`."""
    return store().picture(make, config)


def clock(
    measure: Callable[[Any], Snapshot], config: knobs.Config, verb: str = "Measure on this machine"
) -> Snapshot | None:
    """A measurement of time: made when the reader presses the button, for these knobs, never kept for anybody else.

    None until it was made.
    """
    name = f"{measure.__module__}.{measure.__qualname__}"
    measured: dict = st.session_state.setdefault("clocks", {})
    if st.button(verb, key=f"clock {name}"):
        measured[name] = config, measure(config)
    made_for, made = measured.get(name, (None, None))
    return made if made_for == config else None


def show(chart: Any, *signals: Signal, caption: str = "", title: str = "", **options: Any) -> None:
    """Draw signals with a chart of `view.charts`; the options are the chart's.

    caption  what is drawn, and where its limits are: it stands below
    title    a few words above the chart
    """
    here = visit.current()
    names = tuple(signal.name for signal in signals)
    rows = chart.rows(*signals, **options)
    sent = rewind.moments(here.rest, chart, signals, options, rows) if here.rest else rows
    with st.container(gap=None):
        legend = chart.legend(*signals, **options)
        st.html(_head(title, symbol(names[0]).sentence, legend, options.get("colour", "")))
        st.vega_lite_chart(
            sent,
            chart.specification(names=names, **options),
            key=here.key("chart"),
            alt=f"{title}. {chart.alt(names, **options)}" if title else chart.alt(names, **options),
            width="stretch",
        )
        if caption:
            st.caption(caption)
    if not here.moving:
        here.told.append(
            f"{title}: {chart.told(rows, names, **options)}" if title else chart.told(rows, names, **options)
        )


def _head(title: str, meaning: str, entries: Iterable[charts.Entry], axis: str) -> str:
    """Title and legend as HTML, so that the names of lines may change without a new chart, and wrap on a phone.

    meaning  what the signal is, which pointing at the title tells
    axis     whose ticks the entries name: pointing at one shows it in all charts
    """
    words = f'<b title="{html.escape(meaning)}">{html.escape(title)}</b>' if title else ""
    marks = "".join(
        f'<span data-look="{html.escape(axis)}" data-tick="{html.escape(entry.name)}">'
        f'<i class="{entry.style}" style="--tint: {entry.colour}"></i>{html.escape(entry.name)}</span>'
        for entry in entries
    )
    legend = f'<div class="legend">{marks}</div>' if marks else ""
    # Also where there is neither: a picture whose place on the page shifts is built anew.
    return f'<div class="figure-head">{words}{legend}</div>'


def progress(moment: Snapshot, name: str, **options: Any) -> None:
    """How a signal (arm, step), or (arm, seed, step), has gone so far, on an axis as long as the training."""
    show(charts.curve, moment[name], x="step", colour="arm", across=(0, moment.config.steps), **options)


def losses(moment: Snapshot, caption: str = "", **options: Any) -> None:
    """The picture every experiment owes its reader: loss by step, an arm a line, between knowing nothing and the floor."""
    facts = moment.facts
    rules = {"knows nothing": facts["baseline"], "best possible": facts.get("floor", 0.0)}
    progress(
        moment,
        "loss",
        log=True,
        rules={name: loss for name, loss in rules.items() if loss > 0},
        title="Loss",
        caption=caption
        or "Mean loss on fresh batches since the moment before; line: median, band: range of the seeds. "
        "All arms start from the same weights and see the same batches.",
        **options,
    )


def drawing(svg: str, caption: str = "") -> None:
    """An SVG drawing, made of what `view.strokes` has, with the words that belong under it."""
    with st.container(gap=None):
        st.markdown(svg, unsafe_allow_html=True)
        if caption:
            st.caption(caption)


def ledger(*rows: tuple[str, str, str]) -> None:
    """A table of (what, shape, meaning): the tensors on this page at their present sizes."""
    table(("", "shape", ""), *((what, f"`{shape}`".replace(" ", "\u00a0"), meaning) for what, shape, meaning in rows))


def table(head: tuple[str, ...], *rows: tuple[str, ...]) -> None:
    """A small table of texts, which may hold Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def metrics(**facts: tuple[str, str] | str) -> None:
    """Numbers worth reading from afar: label -> value, or (value, what it means)."""
    with st.container(horizontal=True, gap="small"):
        for label, fact in facts.items():
            value, meaning = fact if isinstance(fact, tuple) else (fact, None)
            st.metric(label.replace("_", " "), value, help=meaning, border=True)
            visit.current().told.append(f"{label.replace('_', ' ')}: {value}")


def badge(agreement: float | None) -> None:
    """How far this page's model is from torch.nn, computed for the current knobs."""
    if agreement is None:
        st.caption("torch.nn has no such network to compare with.")
    else:
        st.caption(f"max |ours − torch.nn| = {agreement:.1e} for these knobs: the largest difference of any output.")

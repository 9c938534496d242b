"""Pages: processor time of the server to open a page, and to answer a knob that nobody has turned so far.

The knob is the first of the open scene, moved by one on its grid, so that nothing has been computed before. It is
answered when the pictures have been sent. The last line is what page 21 shows first, alone: four activations, two gains,
three seeds, T = 100, H = 32.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from streamlit.testing.v1 import AppTest

from bench import PAGES, ROOT, seconds
from seqcore.experiments import gradients

REPEATS = 7


def report() -> Iterator[str]:
    """A row a page, then the first picture of page 21."""
    logging.getLogger("streamlit").setLevel(logging.ERROR)  # it remarks on every run without a browser
    yield "| page | knob | opens, ms | answers the knob, ms |"
    yield "|---|---|---|---|"
    for path in PAGES:
        yield row(path)
    yield ""
    fresh = iter(range(1000))
    times = [seconds(lambda: gradients.fates(gradients.Config(seed=next(fresh))), 1) for _ in range(REPEATS + 1)]
    yield f"both fates alone: {1e3 * statistics.median(times[1:]):.0f} ms"


def row(path: Path) -> str:
    """One page of the table."""
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=120)
    app.run()
    app.switch_page(str(path)).run()  # imports, and specifications are made once for everybody
    app.switch_page(str(ROOT / "pages" / "00_start.py")).run()
    app.switch_page(str(path))
    opens = processor(app)
    sliders = [slider for slider in (*app.slider, *app.select_slider) if slider.key and " " not in slider.key]
    if not sliders:
        return f"| {path.stem} | - | {1e3 * opens:.0f} | - |"
    name, answers = sliders[0].key, []
    slider = next(each for each in (*app.slider, *app.select_slider) if each.key == name)
    for value in values(slider):
        app.session_state[name] = value
        answers.append(processor(app))
    return f"| {path.stem} | {name} | {1e3 * opens:.0f} | {1e3 * statistics.median(answers):.0f} |"


def values(slider) -> list:
    """Other values than the present one, near to it."""
    if hasattr(slider, "options") and slider.options:
        kind = type(slider.value)
        return [kind(each) for each in slider.options if kind(each) != slider.value][:REPEATS]
    step, now = slider.step, slider.value
    near = [now + step * k for k in (1, -1, 2, -2, 3, -3, 4)]
    return [value for value in near if slider.min <= value <= slider.max]


def processor(app: AppTest) -> float:
    """Processor seconds of one run of the page."""
    start = time.process_time()
    app.run()
    return time.process_time() - start

"""Pages: processor time of the server to open a page, to answer a knob, and the share of it that trains while it plays.

A knob is turned by moving the first seed, so that nothing has been computed before. The last table is the gradient
picture: four activations, three seeds, T = 100, H = 32.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from streamlit.testing.v1 import AppTest

from bench import seconds
from seqcore.experiments import gradients
from view.page import BREATH

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 7


def report() -> Iterator[str]:
    """A row a page, then the gradient picture alone."""
    yield "| page | opens, ms | answers a knob, ms | pictures a second | of which training |"
    yield "|---|---|---|---|---|"
    for path in sorted((ROOT / "pages").glob("[1-9]*_*.py")):
        yield row(path)
    yield ""
    fresh = iter(range(1000))
    times = [seconds(lambda: gradients.before(gradients.Config(seed=next(fresh))), 1) for _ in range(REPEATS + 1)]
    yield f"gradient picture alone: {1e3 * statistics.median(times[1:]):.0f} ms"


def row(path: Path) -> str:
    """One page of the table."""
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=120)
    app.run()
    app.switch_page(str(path)).run()  # imports, and charts are compiled once for everybody
    app.switch_page(str(ROOT / "pages" / "00_start.py")).run()
    app.switch_page(str(path))
    opens = processor(app.run)
    answers = []
    if "seed" in app.session_state:
        for seed in range(1, 1 + REPEATS):
            app.session_state["seed"] = seed
            answers.append(processor(app.run))
    told = f"{1e3 * statistics.median(answers):.0f}" if answers else "-"
    return f"| {path.stem} | {1e3 * opens:.0f} | {told} | {' | '.join(playing(app))} |"


def playing(app: AppTest) -> tuple[str, str]:
    """Pictures a second and the share of the time that goes into training, over a few whole runs of the page."""
    plays = [button.key for button in app.button if button.key.endswith(" play")]
    if not plays:
        return "-", "-"
    app.button(key=plays[0]).click().run()
    playback = next(reversed(app.session_state["shelf"]._playbacks.values()))
    trained, start, ticks = playback.seconds, time.perf_counter(), 0
    while ticks < REPEATS and not playback.done:
        app.run()
        ticks += 1
    passed = time.perf_counter() - start + ticks * BREATH
    return (f"{ticks / passed:.1f}", f"{(playback.seconds - trained) / passed:.0%}") if ticks else ("-", "-")


def processor(call: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    return seconds(call, 1)

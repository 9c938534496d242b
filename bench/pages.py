"""Pages: processor time of the server to open a page, to answer a knob, and the share of it that trains while it plays.

A knob is turned by moving the first seed, so that nothing has been computed before. It is answered when the first two
pictures have been sent; the rest of the page, with the first moment of a new training, follows. The last line is the
gradient picture: four activations, three seeds, T = 100, H = 32.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from streamlit.testing.v1 import AppTest

from bench import seconds
from seqcore.experiments import gradients
from view import page

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 7


def report() -> Iterator[str]:
    """A row a page, then the gradient picture alone."""
    yield "| page | opens, ms | first pictures after a knob, ms | whole page, ms | pictures a second | of which training |"
    yield "|---|---|---|---|---|---|"
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
    opens, _ = processor(app)
    answers = []
    if "seed" in app.session_state:
        for seed in range(1, 1 + REPEATS):
            app.session_state["seed"] = seed
            answers.append(processor(app))
    told = [f"{1e3 * statistics.median(times):.0f}" for times in zip(*answers)] or ["-", "-"]
    return f"| {path.stem} | {1e3 * opens:.0f} | {told[1]} | {told[0]} | {' | '.join(playing(app))} |"


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
    passed = time.perf_counter() - start + ticks * page.BREATH
    return (f"{ticks / passed:.1f}", f"{(playback.seconds - trained) / passed:.0%}") if ticks else ("-", "-")


def processor(app: AppTest) -> tuple[float, float]:
    """Processor seconds of one run of the page: all of it, and until its second picture was sent."""
    show, sent = page.show, []

    def timed(*signals, **options) -> None:
        show(*signals, **options)
        sent.append(time.process_time())

    page.show = timed
    start = time.process_time()
    try:
        app.run()
    finally:
        page.show = show
    return time.process_time() - start, sent[min(1, len(sent) - 1)] - start

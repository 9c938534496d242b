"""Begin a page: `make page NAME=idea` writes a page with two scenes, its experiment and a test, which pass as they are.

What it writes is a small true example (a running mean, and one weight that learns it) to be changed line by line. The
navigation, the tests of every page and the benchmark find the new files by their names; there is no list to edit.
"""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
RESERVED = ("last", "names")  # what the package of the experiments has of its own

EXPERIMENT = '''"""$title: the mean of noisy values, as a formula and as one weight that learns it.

The equations, in the letters that the code uses:

    m_t   = (x_1 + ... + x_t) / t               the running mean of x_t = μ + σ ε_t
    w     = w - rate · d/dw mean (x - w)²       gradient descent on the same question
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from seqcore import knobs
from seqcore.engine import stream, train
from seqcore.knobs import knob, uses
from seqcore.record import Signal, Snapshot
from seqcore.runs import Run
from seqcore.training import Trainer

MEAN, BATCH = 1.0, 16


@dataclass(frozen=True)
class Config(knobs.Repeated):
    length: int = knob(60, "Values T", 5, 200, group="Data")
    noise: float = knob(0.5, "Noise σ", 0.0, 2.0, step=0.1, group="Data")
    rate: float = knob(0.03, "Learning rate", 1e-3, 0.5, scale="log", group="Training")
    steps: int = knob(100, "Training steps", 50, 500, step=50, group="Training")


@uses("length", "noise", "seed")
def averages(config: Config) -> Snapshot:
    """The picture before training. Signal series (line, time): the values and their running mean. Fact error: how far
    the last mean is from μ.
    """
    x = _draw(config.noise, config.length, stream(config.seed, "test")).double().numpy()
    mean = x.cumsum() / np.arange(1, config.length + 1)
    ticks = {"line": ("the series", "running mean"), "time": range(1, config.length + 1)}
    return Snapshot(config, 0, [Signal("series", ("line", "time"), [x, mean], ticks)], {"error": abs(mean[-1] - MEAN)})


@uses("noise", "rate", "steps", "seeds", "seed")
def run(config: Config) -> Run:
    """Train one weight at the chosen rate and at a tenth of it. Signals: loss, norm (arm, seed, step). Facts: baseline,
    floor, event.
    """
    return train(
        config,
        {"fast": partial(_trainer, rate=config.rate), "slow": partial(_trainer, rate=config.rate / 10)},
        lambda seed, generator: _draw(config.noise, BATCH, generator),
        load=2,
        facts={"baseline": MEAN**2 + config.noise**2, "floor": config.noise**2},
    )


class Constant(nn.Module):
    """One weight w that begins at 0."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))


def _draw(noise: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) values of mean μ."""
    return MEAN + noise * torch.randn(count, generator=generator)


def _trainer(seed: int, rate: float) -> Trainer:
    return Trainer(Constant(), lambda model, x: (x - model.w).square().mean(), rate, "SGD")
'''

PAGE = '''"""$title: a mean grows more certain with every value.

Change this sentence, the scenes and the experiment until they say what you want to show.
"""

from seqcore.experiments.$name import Config, averages, run
from view import charts, page


@page.scene("length", "noise", presets={"Quiet": {"noise": 0.1}, "Loud": {"noise": 2.0}})
def more_values(config):
    r"""More values: the noise of a mean falls like one over the root of their number.

    Each value is $$\\mu + \\sigma\\varepsilon$$, with a noise of size σ. The mean of T of them is off by about
    $$\\sigma/\\sqrt{T}$$: four times as many values halve the error.
    """
    picture = page.picture(averages, config)
    page.show(
        charts.curve,
        picture["series"],
        x="time",
        colour="line",
        across=(1, config.length),
        title="Values, and the mean of all so far",
        caption="One series. Another first seed draws another one.",
    )
    page.metrics(
        Error=(f"{picture.facts['error']:.3f}", "How far the last mean is from μ = 1."),
        Expected=(f"{config.noise / config.length**0.5:.3f}", "σ/√T"),
    )


@page.scene("rate", "steps")
def trained(config):
    """Trained: one weight finds the mean by gradient descent, sooner or later.

    Two models see the same batches. Their learning rates differ by a factor of ten. No loss can stay below the
    variance of the noise, σ², for long.
    """

    def figures(moment):
        page.losses(moment)

    page.play(run, config, figures)


page.lesson(__doc__, Config, more_values, trained)
'''

TEST = '''"""$title: the running mean is the mean, and one weight learns it."""

import numpy as np
import pytest

from seqcore.experiments import last
from seqcore.experiments.$name import Config, averages, run


def test_the_last_running_mean_is_the_mean_of_all_values():
    values, mean = averages(Config(length=40, seed=7))["series"].values
    assert mean[-1] == pytest.approx(values.mean())
    assert np.abs(mean[20:] - 1).max() < 0.5


def test_the_fast_weight_reaches_the_floor_and_the_slow_one_does_not_yet():
    final = last(run(Config(seed=400)))
    end = {arm: np.median(final["loss"].sel(arm=arm).values[:, -10:]) for arm in ("fast", "slow")}
    assert end["fast"] == pytest.approx(final.facts["floor"], rel=0.3)
    assert end["slow"] > 1.5 * final.facts["floor"]
'''


def write(name: str, root: Path = ROOT, chapter: int = 4) -> list[Path]:
    """Write the three files of a new page; they are returned.

    Raises ValueError for a name that cannot be one, or is taken, and for a chapter that is full, or that there is not.
    """
    if not re.fullmatch(r"[a-z][a-z_]{1,30}", name) or keyword.iskeyword(name) or name in RESERVED:
        raise ValueError(f"NAME = {name!r} should be a word in small letters, such as idea or two_words")
    taken = sorted(path.stem for path in (root / "pages").glob("[0-9]*_*.py"))
    if (root / "seqcore" / "experiments" / f"{name}.py").exists() or name in {stem.partition("_")[2] for stem in taken}:
        raise ValueError(f"NAME = {name!r} is taken")
    if chapter not in (1, 2, 3, 4):
        raise ValueError(f"CHAPTER = {chapter!r} is not one of 1, 2, 3 and 4")
    number = max((int(stem[:2]) for stem in taken if stem[0] == str(chapter)), default=10 * chapter - 1) + 1
    if number > 10 * chapter + 9:
        raise ValueError(f"CHAPTER = {chapter} has no number left for a page")
    words = {"name": name, "title": name.replace("_", " ").capitalize()}
    files = {
        root / "pages" / f"{number}_{name}.py": PAGE,
        root / "seqcore" / "experiments" / f"{name}.py": EXPERIMENT,
        root / "tests" / f"test_experiment_{name}.py": TEST,
    }
    for path, text in files.items():
        path.write_text(Template(text).substitute(words), encoding="utf-8")
    return list(files)


if __name__ == "__main__":
    try:
        for path in write(
            sys.argv[1] if len(sys.argv) > 1 else "", chapter=int(sys.argv[2]) if len(sys.argv) > 2 else 4
        ):
            print(path.relative_to(ROOT))
    except ValueError as wrong:
        sys.exit(str(wrong))

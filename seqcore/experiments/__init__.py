"""The experiments, one a page: each module has a `Config` of knobs, pictures of it, and `run(config)`, a training.

from seqcore.experiments import gradients, last

run = gradients.run(gradients.Config(hidden=64))   # a log that is empty until somebody asks
final = last(run)                                  # trains to the end
final["loss"].values
run.at(40)["gradient"].values                      # what it was before
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from pathlib import Path

from seqcore.record import Snapshot


def names() -> list[str]:
    """The modules of this package, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def last(runs: Iterable[Snapshot]) -> Snapshot:
    """The final moment of an experiment. Raises ValueError if it has none."""
    final = collections.deque(runs, maxlen=1)
    if not final:
        raise ValueError("the experiment yielded no moment")
    return final[0]

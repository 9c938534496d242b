"""The experiments, one a page: each module has a `Config` of knobs and `run(config)`, a generator of moments.

from seqcore.experiments import gradients, last

final = last(gradients.run(gradients.Config(hidden=64)))
final["loss"].values
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from pathlib import Path

from seqcore.record import Run


def names() -> list[str]:
    """The modules of this package, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def last(runs: Iterable[Run]) -> Run:
    """The final moment of an experiment. Raises ValueError if it has none."""
    final = collections.deque(runs, maxlen=1)
    if not final:
        raise ValueError("the experiment yielded no moment")
    return final[0]

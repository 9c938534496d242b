"""Processor time on this machine, now. It says as much about the code and the machine as about a model.

What a clock says is never kept and never shared: an experiment measures it in a function `clock(config)` of its own,
without `@uses`, which no store calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def milliseconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Processor time of one call: the shortest of some, after one call that prepares what the others find ready."""
    took = []
    for _ in range(repeats + 1):
        start = time.thread_time()
        work()
        took.append(time.thread_time() - start)
    return 1000 * min(took[1:])

"""Lines of this library's own source, to stand beside the numbers that they compute.

excerpt(LSTM.trace, "i = ", "h = ")    the first line that begins so, and all to the next one that begins like that
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


@functools.cache
def excerpt(function: Callable[..., Any], first: str, last: str | None = None) -> str:
    """Some lines of a function as they stand in its file, but for the indentation that they share.

    first  how the first of them begins
    last   how the last one begins, which is looked for from the first one on; the first one alone if not given

    Raises ValueError if no line begins so.
    """
    every = inspect.getsource(function).splitlines()
    start = _find(function, every, first, 0)
    end = start if last is None else _find(function, every, last, start)
    return textwrap.dedent("\n".join(every[start : end + 1]))


def _find(function: Callable[..., Any], every: list[str], begins: str, start: int) -> int:
    for number, line in enumerate(every[start:], start):
        if line.lstrip().startswith(begins):
            return number
    after = f" after {every[start].strip()!r}" if start else ""
    raise ValueError(f"{function.__qualname__} has no line that begins with {begins!r}{after}")

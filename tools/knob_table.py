"""The README's table of the knobs that a reader turns first, page by page: `python -m tools.knob_table` writes it anew."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from seqcore.knobs import Knob
from view import router

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- knobs -->\n", "<!-- /knobs -->\n"
COLUMNS = {  # what stands above a column -> the names that its knobs may have
    "sequence length": ("length", "task_length", "longest", "gap", "tau"),
    "hidden size or width": ("hidden", "cells", "width"),
    "heads": ("heads",),
    "d_k": ("d_k",),
    "d_v": ("d_v",),
}


def table() -> str:
    """The table in Markdown: a page a row, and in every cell the least and the largest value."""
    rows = [("page", *COLUMNS), ("---",) * (1 + len(COLUMNS))]
    for page in router.pages():
        if page.chapter:
            knobs = _knobs(page.path)
            cells = (" · ".join(_span(knobs[name]) for name in names if name in knobs) for names in COLUMNS.values())
            rows.append((page.title, *cells))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _knobs(path: Path) -> dict[str, Knob]:
    module = re.search(r"from (seqcore\.experiments\.\w+) import", path.read_text(encoding="utf-8"))
    if module is None:
        raise ValueError(f"{path.name} imports no experiment")
    return importlib.import_module(module[1]).Config.knobs()


def _span(knob: Knob) -> str:
    low, high = (knob.choices[0], knob.choices[-1]) if knob.choices else (f"{knob.low:g}", f"{knob.high:g}")
    return f"{low} to {high}"


def main() -> None:
    """Write the table into the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The rooms and the arrows between them, checked against the imports in every file."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("seqcore", "view", "pages", "bench", "tools")
FILES = [ROOT / "dashboard.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]

# room -> the modules it may import besides the standard library; a room may import itself
ALLOWED = {
    "dashboard.py": {"streamlit", "view"},
    "pages": {"streamlit", "seqcore.experiments", "view"},
    "view": {
        "streamlit",
        "altair",
        "pandas",
        "pyarrow",
        "numpy",
        "seqcore.record",
        "seqcore.runs",
        "seqcore.knobs",
        "seqcore.symbols",
        "view",
    },
    "bench": {"torch", "numpy", "pyarrow", "streamlit", "playwright", "seqcore", "view", "bench", "tests"},
    "tools": set(),
    "tools/knob_table.py": {"seqcore.knobs", "view.router"},
    "seqcore": {"torch", "numpy", "seqcore"},
    "seqcore/models": {"torch", "numpy", "seqcore.kernels", "seqcore.models"},
    "seqcore/kernels.py": {"torch"},
    "seqcore/tasks": {"torch", "numpy", "seqcore.tasks", "seqcore.models.counts"},
    "seqcore/record.py": {"numpy"},
    "seqcore/runs.py": {"numpy", "seqcore.record"},
    "seqcore/knobs.py": set(),
    "seqcore/symbols.py": set(),
}
STANDARD = set(__import__("sys").stdlib_module_names) | {"__future__"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    """The most precise entry of ALLOWED that holds the file."""
    return max((room for room in ALLOWED if (name_of(path) + "/").startswith(room + "/")), key=len)


def imports_of(path: Path) -> set[str]:
    """Every imported module by its full name; `from seqcore import knobs` counts as seqcore.knobs."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = (ROOT / node.module.replace(".", "/")).is_dir()
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if inside else {node.module}
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_import_follows_an_arrow(path):
    allowed = ALLOWED[room_of(path)]
    for module in imports_of(path):
        inside = any(module == known or module.startswith(known + ".") for known in allowed)
        assert inside or module.split(".")[0] in STANDARD, f"{name_of(path)} may not import {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=name_of)
def test_a_page_holds_words_and_layout_only(path):
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    for forbidden in (
        "session_state",
        "query_params",
        "st.fragment",
        "st.rerun",
        "import torch",
        "import altair",
        "np.",
    ):
        assert forbidden not in source, f"{path.name} uses {forbidden}"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    drawn = [call for call in calls if ast.unparse(call.func).startswith(("st.", "page."))]
    assert not [k for call in drawn for k in call.keywords if k.arg == "key"], f"{path.name} passes key="
    assert len(source.splitlines()) <= 360, "a page is a page"


@pytest.mark.parametrize("path", [path for path in FILES if "seqcore" in name_of(path)], ids=name_of)
def test_no_global_randomness_and_no_printing_in_seqcore(path):
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"torch\.manual_seed|np\.random\.(?!Generator|default_rng)|^\s*print\(", source, re.MULTILINE)


def test_every_module_begins_with_a_docstring():
    missing = [name_of(path) for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not missing

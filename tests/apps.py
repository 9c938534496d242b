"""The dashboard as tests see it: its pages, their scenes, and what stands on them."""

import ast
import importlib
import json
import re
from pathlib import Path

import pyarrow as pa
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "pages").glob("[0-9]*_*.py"))
CONCEPTS = [path for path in PAGES if not path.stem.startswith("00")]


def address_of(path: Path) -> str:
    return "" if path.stem.startswith("00") else path.stem.partition("_")[2]


def config_of(path: Path):
    """The Config class of a page."""
    source = path.read_text(encoding="utf-8")
    found = re.search(r"from seqcore\.experiments\.(\w+) import (?:\([^)]*\bConfig\b|[^\n]*\bConfig\b)", source)
    return importlib.import_module(f"seqcore.experiments.{found.group(1)}").Config


def scenes_of(path: Path) -> list[tuple[str, str, str]]:
    """Title, sentence and prose of every scene of a page, in order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "page.lesson"]
    assert len(calls) == 1, f"{path.name} should call page.lesson once"
    found = []
    for argument in calls[0].args[2:]:
        first, _, prose = ast.get_docstring(functions[argument.id]).partition("\n\n")
        title, _, sentence = first.replace("\n", " ").partition(":")
        found.append((title.strip(), sentence.strip(), prose.strip()))
    return found


def open_page(path: Path, **address: str | list[str]) -> AppTest:
    """A session that has come to a page through the front door, with this address."""
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60)
    app.run()
    app.switch_page(str(path))
    for name in ("page", "pages"):
        del app.session_state[name]
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def page_of(app: AppTest):
    """What the reader has chosen on the open page."""
    return app.session_state["pages"][app.session_state["page"]]


def open_scene(app: AppTest, name: str | int) -> AppTest:
    """The same session at another scene: 1, 2 ... or "all"."""
    page_of(app).scene = str(name)
    return app.run()


def charts_of(app: AppTest) -> list[tuple[dict, pa.Table, str]]:
    """Specification, rows and alternative text of every chart, in order."""
    found = []
    for element in app.get("vega_lite_chart"):
        proto = element.proto
        raw = proto.data.data or (proto.datasets[0].data.data if proto.datasets else b"")
        rows = pa.ipc.open_stream(raw).read_all() if raw else None
        found.append((json.loads(proto.spec), rows, getattr(proto, "alt", "")))
    return found


def forms_of(app: AppTest) -> list[tuple[str, str]]:
    """What makes the browser keep a chart or build it anew: specification and alternative text of each."""
    return [(element.proto.spec, getattr(element.proto, "alt", "")) for element in app.get("vega_lite_chart")]


def drawings_of(app: AppTest) -> list[str]:
    """Every drawing, as SVG."""
    return [markdown.value for markdown in app.markdown if "<svg" in markdown.value]

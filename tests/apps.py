"""The dashboard as tests see it: its pages, and what stands on them."""

import importlib
import json
import re
from pathlib import Path

import pyarrow as pa
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "pages").glob("[0-9]*_*.py"))


def address_of(path: Path) -> str:
    return path.stem.partition("_")[2]


def config_of(path: Path):
    """The Config class of a page, or None for the start page, which has no knobs."""
    if path.stem.startswith("00"):
        return None
    source = path.read_text(encoding="utf-8")
    found = re.search(r"from seqcore\.experiments\.(\w+) import (?:\([^)]*\bConfig\b|[^\n]*\bConfig\b)", source)
    return importlib.import_module(f"seqcore.experiments.{found.group(1)}").Config if found else None


def open_page(path: Path, **address: str | list[str]) -> AppTest:
    """A session that has come to a page through the front door, with this address."""
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60)
    app.run()
    app.switch_page(str(path))
    for name, value in address.items():
        app.query_params[name] = value
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

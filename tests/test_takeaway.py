"""What a reader takes away runs as it stands: the code under a training, and the README's."""

import re

import numpy as np
import pytest
from apps import CONCEPTS, PAGES, ROOT, open_page, open_scene, scenes_of

from seqcore.experiments import gradients, last
from tools import knob_table

SMALL = {"steps": 50, "seeds": 1, "task_length": 10}


def test_the_code_under_a_training_gives_the_numbers_on_screen():
    path = next(path for path in CONCEPTS if path.stem == "21_gradients")
    app = open_page(path, **{name: str(value) for name, value in SMALL.items() if name != "steps"})
    open_scene(app, next(n for n, (title, _, _) in enumerate(scenes_of(path), 1) if "rain" in title))
    app.slider(key="steps").set_value(SMALL["steps"]).run()
    cursor = app.session_state["cursors"].open["seqcore.experiments.gradients.run"]
    while not cursor.finished:
        cursor.forward()
    app.run()
    code = next(block.value for block in app.code if "last(" in block.value)
    told: dict = {}
    exec(code, told)
    assert told["final"] == cursor.snapshot
    assert told["final"] == last(gradients.run(gradients.Config(**SMALL)))


@pytest.mark.slow
def test_the_readmes_python_runs_as_it_stands(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    told: dict = {}
    for block in blocks:
        exec(block, told)
    assert "arm" in capsys.readouterr().out
    assert np.isfinite(told["final"]["loss"].values).any()


def test_the_readme_counts_the_pages():
    words = {18: "eighteen", 19: "nineteen", 20: "twenty"}
    assert f"A dashboard of {words[len(PAGES)]} pages" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_readers_file_fills_its_knob_or_is_refused_in_words(monkeypatch):
    import types

    import streamlit as st

    from view import address, panel

    shown, state = [], {}
    monkeypatch.setattr(st, "session_state", state)
    monkeypatch.setattr(st, "file_uploader", lambda label, kinds, key, on_change: shown.append((key, on_change)))
    monkeypatch.setattr(st, "warning", lambda text, icon: shown.append(text))
    page = types.SimpleNamespace(values={})
    monkeypatch.setattr(address, "here", lambda: page)

    def parse(raw: bytes) -> str:
        if b"|" in raw:
            raise ValueError("the **table** has 101 columns")
        return raw.decode()

    def send(raw: bytes) -> None:
        panel.upload("A file", "text", parse, ["txt"])
        key, fill = shown[-1]
        state[key] = types.SimpleNamespace(getvalue=lambda: raw, name="my_file.txt")
        fill()
        panel.upload("A file", "text", parse, ["txt"])

    send(b"a story")
    assert (state["text"], page.values["text"]) == ("a story", "a story")
    send(b"a|b")
    assert state["text"] == "a story", "what was there stays"
    assert shown[-1] == r"my\_file\.txt\: the \*\*table\*\* has 101 columns. What was there stays."


def test_the_readme_tells_the_knobs_that_there_are():
    told = (ROOT / "README.md").read_text(encoding="utf-8").partition(knob_table.BEGIN)[2].partition(knob_table.END)[0]
    assert told == knob_table.table(), "write it anew with `python -m tools.knob_table`"


def test_sequence_length_width_heads_and_d_k_have_a_slider_where_they_mean_something():
    rows = {row.split(" | ")[0].strip("| "): row.split(" | ")[1:] for row in knob_table.table().splitlines()[2:]}
    assert len(rows) == len(CONCEPTS)
    assert sum(bool(row[0]) for row in rows.values()) >= 15, "sequence length"
    for name in ("Multi-head attention", "Encoder", "Decoder", "Encoder-decoder", "Positional encoding"):
        assert rows[name][1], f"{name}: width"
        assert rows[name][2], f"{name}: heads"
    assert rows["Why divide by √d_k"][3]
    assert rows["Self-attention"][3]

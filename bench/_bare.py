"""The yardstick: the least Streamlit page that answers a slider, and plays, with two line charts."""

import numpy as np
import streamlit as st

st.set_page_config(layout="wide")
with st.sidebar:
    length = st.slider("Length", 2, 200, 100, key="length")
x = np.arange(100)


def charts(moved: float) -> None:
    for i, column in enumerate(st.columns(2)):
        rows = {
            "x": np.tile(x, 4),
            "y": np.concatenate([np.sin(x / (5 + k) + moved + i) for k in range(4)]),
            "c": np.repeat(list("abcd"), 100),
        }
        fields = {"x": "quantitative", "y": "quantitative", "c": "nominal"}
        named = {("color" if name == "c" else name): {"field": name, "type": kind} for name, kind in fields.items()}
        column.vega_lite_chart(rows, {"mark": "line", "encoding": named})


charts(length)


@st.fragment(run_every=0.1 if st.toggle("Play") else None)
def live() -> None:
    st.session_state["tick"] = st.session_state.get("tick", 0) + 1
    charts(st.session_state["tick"] / 3)


live()

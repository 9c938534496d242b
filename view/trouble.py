"""What goes wrong while something is drawn is told in words where it would have stood, and the rest of the page stands."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import streamlit as st

from seqcore.runs import Cancelled
from view.plain import plain


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Tell an error that is raised within it, and log it. Streamlit's own ways to end a run, and Cancelled, go through.

    what  is drawn, for the log
    """
    try:
        yield
    except Cancelled:
        raise
    except Exception as wrong:
        logging.getLogger(__name__).exception("%s", what)
        st.error(
            f"**This picture could not be computed.** {plain(type(wrong).__name__)}: {plain(wrong)}. "
            "Turn a knob back; nothing you chose is lost.",
            icon="🚧",
        )

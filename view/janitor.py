"""One thread of the process that sees to two things nobody should wait for: getting torch ready, and giving memory back.

While the first reader reads, it imports torch and builds one optimiser, which takes seconds the first time. From then
on it looks every now and then for sessions that have ended: Streamlit drops an expired one only when another session
ends, what it held is freed only by a collection (which does not run after every script here, see
.streamlit/config.toml), and the allocator does not return it to the system by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import threading
import time
from typing import Any

import streamlit as st

PERIOD = 10.0  # seconds between two looks
READY = ("torch", "torch.optim", "seqcore.engine", "seqcore.experiments.gradients")


@st.cache_resource(show_spinner=False)
def begin() -> threading.Thread:
    """Start the thread, once in a process."""
    thread = threading.Thread(target=_work, name="janitor", daemon=True)
    thread.start()
    return thread


def _work() -> None:
    prepare()
    before = sessions()
    while True:
        time.sleep(PERIOD)
        now = sessions()
        if now < before:
            tidy()
        before = now


def prepare() -> None:
    """Import what training needs, and let the collector pass over it from now on."""
    for name in READY:
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)
    gc.collect()
    gc.freeze()


def sessions() -> int:
    """How many sessions are kept, the expired ones of which are dropped by this look. 0 outside a server."""
    storage = _storage()
    return 0 if storage is None else len(storage.list()) + _connected()


def _runtime() -> Any:
    from streamlit import runtime

    return runtime.get_instance() if runtime.exists() else None


def _storage() -> Any:
    return getattr(getattr(_runtime(), "_session_mgr", None), "_session_storage", None)


def _connected() -> int:
    manager = getattr(_runtime(), "_session_mgr", None)
    return len(getattr(manager, "_active_session_info_by_id", {}))


def tidy() -> None:
    """Free what ended sessions held, and give the memory back to the system where it takes it."""
    expire = getattr(getattr(_storage(), "_cache", None), "expire", None)
    loop = getattr(getattr(_runtime(), "_async_objs", None), "eventloop", None)
    if expire is not None and loop is not None:
        # The server's own thread changes the storage, so it does this too.
        done = threading.Event()

        def drop() -> None:
            expire()
            done.set()

        loop.call_soon_threadsafe(drop)
        done.wait(1)
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)

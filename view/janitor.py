"""One thread of the process that sees to two things nobody should wait for: getting torch ready, and giving memory back.

While the first reader reads, it imports torch and builds one optimiser, which takes seconds the first time. From then
on it looks every now and then for sessions that have ended: Streamlit drops an expired one only when another session
ends, what it held is freed only by a collection (which does not run after every script here, see
.streamlit/config.toml), and the allocator does not return it to the system by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T")

PERIOD = 10.0  # seconds between two looks
ARENAS = 2  # of the allocator, as many as the processors a small machine has
READY = ("torch", "torch.optim", "seqcore.engine", "seqcore.experiments.gradients")


@st.cache_resource(show_spinner=False)
def begin() -> threading.Thread:
    """Start the thread, once in a process."""
    thread = threading.Thread(target=_work, name="janitor", daemon=True)
    thread.start()
    return thread


def few_arenas() -> None:
    """Let all threads share a few arenas of the allocator.

    Otherwise a reader's thread gets one of its own, and what a training leaves free in it is of use to no other: with
    ten readers that was a quarter of all they needed. Call it early: arenas that exist stay, and with more than eight of
    them glibc heeds it no more. Of no effect with another allocator.
    """
    M_ARENA_MAX = -8
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)


def _work() -> None:
    log = logging.getLogger(__name__)
    try:
        prepare()
    except Exception:
        log.exception("getting ready")
    before: set[str] = set()
    while True:
        time.sleep(PERIOD)
        try:
            now = sessions()
            if before - now:
                tidy()
            before = now
        except Exception:
            log.exception("looking for ended sessions")


def prepare() -> None:
    """Import what training needs, and let the collector pass over it from now on."""
    for name in READY:
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)
    gc.collect()
    gc.freeze()


def sessions() -> set[str]:
    """The ids of all sessions that are connected, or may come back. Empty outside a server."""
    manager = getattr(_runtime(), "_session_mgr", None)
    if manager is None:
        return set()
    return _in_the_servers_thread(
        lambda: {info.session.id for info in manager._session_storage.list()} | set(manager._active_session_info_by_id)
    )


def _in_the_servers_thread(call: Callable[[], T]) -> T:
    """Streamlit's storage belongs to the thread of the server's loop."""

    async def work() -> T:
        return call()

    return asyncio.run_coroutine_threadsafe(work(), _runtime()._async_objs.eventloop).result(timeout=5)


def _runtime() -> Any:
    from streamlit import runtime

    return runtime.get_instance() if runtime.exists() else None


def tidy() -> None:
    """Free what ended sessions held, and give the memory back to the system where it takes it."""
    if _runtime() is not None:
        _in_the_servers_thread(_runtime()._session_mgr._session_storage._cache.expire)
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)

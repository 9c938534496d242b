"""The janitor: what an ended session held is free without anybody else's doing."""

import asyncio
import ctypes
import subprocess
import sys
import threading
import time
import types
import weakref

import pytest
from streamlit.runtime.memory_session_storage import MemorySessionStorage

from view import janitor


class Session:
    """A session that holds itself, as Streamlit's do: only a collection frees it."""

    def __init__(self, name):
        self.id, self.me = name, self


@pytest.fixture
def server(request, monkeypatch):
    """What the janitor sees of a running server: its storage and the loop that may change it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    storage = MemorySessionStorage(ttl_seconds=getattr(request, "param", 1.0))
    manager = types.SimpleNamespace(_session_storage=storage, _active_session_info_by_id={})
    runtime = types.SimpleNamespace(_session_mgr=manager, _async_objs=types.SimpleNamespace(eventloop=loop))
    monkeypatch.setattr(janitor, "_runtime", lambda: runtime)
    yield storage
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_an_expired_session_is_noticed_and_freed(server):
    session = Session("a")
    gone = weakref.ref(session)
    server.save(types.SimpleNamespace(session=session))
    del session
    assert janitor.sessions() == {"a"}
    time.sleep(1.1)
    assert janitor.sessions() == set()
    assert gone() is not None, "Streamlit itself keeps it until another session ends"
    janitor.tidy()
    assert gone() is None


@pytest.mark.parametrize("server", [600.0], indirect=True, ids=["ten minutes"])
def test_a_session_that_may_come_back_is_kept(server):
    server.save(types.SimpleNamespace(session=Session("a")))
    janitor.tidy()
    assert janitor.sessions() == {"a"}


def test_outside_a_server_there_is_nothing_to_do():
    assert janitor.sessions() == set()
    janitor.tidy()


def test_streamlit_still_has_what_the_janitor_relies_on():
    assert hasattr(MemorySessionStorage()._cache, "expire")
    from streamlit.runtime.runtime import AsyncObjects
    from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

    assert "eventloop" in AsyncObjects.__annotations__
    source = WebsocketSessionManager.__init__.__code__.co_names
    assert {"_session_storage", "_active_session_info_by_id"} <= set(source)


ARENAS = """
import ctypes, sys, tempfile, threading
from view import janitor
early, leave = threading.Barrier(4), threading.Event()
def wait():
    held.append([bytes(1000) for _ in range(100)])
    early.wait()
    leave.wait()
held, before = [], [threading.Thread(target=wait) for _ in range(3)]  # as a server has some already
for thread in before: thread.start()
early.wait()
if sys.argv[1] == "few":
    janitor.few_arenas()
together = threading.Barrier(12)
def work():
    together.wait()
    kept.append([bytes(1000) for _ in range(1000)])
    together.wait()
kept, threads = [], [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL("libc.so.6")
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile("r") as told:
    file = ctypes.c_void_p(libc.fopen(told.name.encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(told.read().count("<heap nr="))
leave.set()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another allocator than glibc's")
def test_all_threads_share_a_few_arenas_of_the_allocator():
    few, usual = (
        int(subprocess.run([sys.executable, "-c", ARENAS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("few", "usual")
    )
    assert few <= janitor.ARENAS + 3 < usual, "no more than there were"

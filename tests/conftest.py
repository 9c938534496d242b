"""What all tests share: one thread for torch, and hypothesis that never complains about a slow machine."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
settings.register_profile("quiet", deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
settings.load_profile("quiet")


@pytest.fixture(autouse=True)
def few_moments(request, monkeypatch):
    """A slow test asks how a training ends: it is measured eight times on the way, not a hundred.

    A test of what readers see on the way, or of a loss, which is a mean since the moment before, is marked `live`.
    """
    if request.node.get_closest_marker("slow") and not request.node.get_closest_marker("live"):
        monkeypatch.setattr("seqcore.engine.pace", lambda steps, load, moments=0: max(1, steps // 8))

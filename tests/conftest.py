"""What all tests share: one thread for torch, and hypothesis that never complains about a slow machine."""

import sys
from pathlib import Path

import torch
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
settings.register_profile("quiet", deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
settings.load_profile("quiet")

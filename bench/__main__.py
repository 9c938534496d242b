"""Print the machine, then every table of this package, or those named: `python -m bench [kernels ...]`."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

import torch


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread, Python {platform.python_version()}, {cpu()}")
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    if unknown := set(wanted) - set(names):
        sys.exit(f"no table {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for name in wanted or names:
        module = importlib.import_module(f"bench.{name}")
        print(f"\n## {module.__doc__.partition(':')[0]}\n", flush=True)
        for line in module.report():
            print(line, flush=True)


def cpu() -> str:
    """What the processor calls itself, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main(sys.argv[1:])

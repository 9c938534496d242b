"""`make page NAME=idea`: what it writes is a page like all others, and passes what all others pass, at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.new_page import write

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def copy(tmp_path):
    for name in ("seqcore", "view", "pages", "tests", "tools", ".streamlit"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dashboard.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(copy: Path, *command: str) -> subprocess.CompletedProcess:
    here = {**os.environ, "PYTHONPATH": str(copy)}
    return subprocess.run([sys.executable, "-m", *command], cwd=copy, env=here, capture_output=True, text=True)


@pytest.mark.slow
def test_a_new_page_passes_its_own_test_and_those_of_every_page(copy):
    files = [str(path.relative_to(copy)) for path in write("idea", copy)]
    assert files == ["pages/45_idea.py", "seqcore/experiments/idea.py", "tests/test_experiment_idea.py"]
    for check in (("ruff", "check"), ("ruff", "format", "--check")):
        done = run(copy, *check, *files)
        assert done.returncode == 0, done.stdout
    tests = ["test_experiment_idea.py", "test_experiments.py", "test_pages.py", "test_architecture.py"]
    done = run(copy, "pytest", "-k", "idea", *(f"tests/{name}" for name in tests))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout
    assert int(done.stdout.split(" passed")[0].split()[-1]) >= 10, "the tests of every page find the new one"


@pytest.mark.parametrize(
    "name", ["", "Idea", "an idea", "../idea", "gradients", "attention", "class", "last", "x" * 40]
)
def test_a_name_that_cannot_be_one_or_is_taken_is_refused(name):
    with pytest.raises(ValueError, match="NAME ="):
        write(name, ROOT)

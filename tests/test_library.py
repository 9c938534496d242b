"""seqcore as a library: what `seqcore.models` offers, and what is in the package that pip builds."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from seqcore import models
from seqcore.experiments import names

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for path in (ROOT / "seqcore" / "models").glob("*.py") if path.stem != "__init__")


def requirements(path: str) -> dict[str, Requirement]:
    """What a requirements file asks for, by name."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {requirement.name: requirement for requirement in wanted}


@pytest.mark.parametrize("name", models.__all__)
def test_every_name_that_is_offered_is_there_and_documented(name):
    found = getattr(models, name)
    assert found.__name__ == name
    assert inspect.getdoc(found)
    # the text that a NamedTuple makes up for itself does not count
    assert not inspect.getdoc(found).startswith(f"{name}(")
    assert found is getattr(import_module(found.__module__), name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_model_is_offered_and_so_is_its_file(path):
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    traced = {one.name for one in classes if {"forward", "trace"} & {getattr(part, "name", "") for part in one.body}}
    inner = {"Around", "Sinusoidal", "Learned", "Nothing"}  # parts that are chosen by a name
    assert traced - inner <= set(models.__all__)
    assert any(getattr(models, name).__module__ == f"seqcore.models.{path.stem}" for name in models.__all__)


def test_type_checkers_see_the_names_that_are_there_at_run_time():
    tree = ast.parse(Path(models.__file__).read_text(encoding="utf-8"))
    shown = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("seqcore")]
    homes = {alias.name: node.module for node in shown for alias in node.names}
    assert homes == {name: getattr(models, name).__module__ for name in models.__all__}
    assert set(models.__all__) <= set(dir(models))


def test_a_name_that_is_not_there_is_refused_with_the_name_of_the_module():
    with pytest.raises(AttributeError, match=r"module 'seqcore\.models' has no attribute 'Perceptron'"):
        models.Perceptron  # noqa: B018
    with pytest.raises(ImportError, match="Perceptron"):
        from seqcore.models import Perceptron  # noqa: F401


def test_torch_is_not_loaded_before_a_model_is_used():
    script = "import sys, seqcore.models as m; print('torch' in sys.modules); m.RNN; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What `pip install .` installs, built from a copy, so that nothing is left behind here."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("seqcore", "view", "pages", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = f"from setuptools.build_meta import build_wheel; build_wheel({str(built)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, check=True)
    (path,) = built.iterdir()
    return zipfile.ZipFile(path)


def test_the_package_holds_the_whole_library_and_nothing_else(wheel):
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seqcore").rglob("*.py")} | {"seqcore/py.typed"}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == here
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


def test_the_package_works_from_an_empty_directory(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")
    (tmp_path / "empty").mkdir()
    script = "import seqcore.models as m; print(m.__file__); from seqcore.experiments import names; print(len(names()))"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    where, experiments = ended.stdout.split()
    assert where.startswith(str(tmp_path))
    assert int(experiments) == len(names())


def test_the_library_asks_for_torch_and_numpy_and_takes_those_of_the_dashboard(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {requirement.name: requirement for requirement in map(Requirement, project["dependencies"])}
    assert set(asked) == {"torch", "numpy"}
    dashboard = requirements("requirements.txt")
    assert {lowest(one) in asked[name].specifier for name, one in dashboard.items() if name in asked} == {True}


def lowest(requirement: Requirement) -> str:
    """The oldest version that it takes."""
    return next(bound.version for bound in requirement.specifier if bound.operator in (">=", "=="))


def test_the_cloud_installs_what_the_dashboard_needs_and_no_tests():
    cloud, dashboard = requirements("cloud/requirements.txt"), requirements("requirements.txt")
    assert {**cloud, "pytest": dashboard["pytest"]} == dashboard

"""How the tests come by a browser, on machines that are only pretended."""

import os
import subprocess
import sys
from pathlib import Path

import chromium
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any browser, on whose path `put` lays programs."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(chromium, "MACOS", tmp_path / "Google Chrome")
    monkeypatch.setattr(chromium, "playwrights_own", lambda: str(tmp_path / "kept" / "chrome"))
    (tmp_path / "bin").mkdir()

    def put(name: str, script: str = "exit 0", where: Path = tmp_path / "bin") -> str:
        where.mkdir(exist_ok=True)
        program = where / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return str(program)

    return put


@pytest.fixture
def commands(monkeypatch):
    """What would be run to install a browser, instead of running it."""
    told = []
    run = chromium.run

    def pretend(command, *rest, **options):
        if command[1:] == ["--version"]:
            return run(command, *rest, **options)
        told.append(command)
        return True

    monkeypatch.setattr(chromium, "run", pretend)
    return told


@pytest.mark.parametrize("name", chromium.NAMES)
def test_a_browser_on_the_path_is_found_under_each_of_its_names(machine, name):
    assert chromium.find() is None
    path = machine(name)
    assert chromium.find() == path


def test_the_one_that_is_named_goes_before_all_others(machine, tmp_path, monkeypatch):
    machine("chromium")
    mine = machine("mine", where=tmp_path)
    monkeypatch.setenv("CHROMIUM", mine)
    assert chromium.find() == mine


def test_one_that_is_named_and_does_not_start_is_no_reason_to_take_another(machine, monkeypatch):
    machine("chromium")
    monkeypatch.setenv("CHROMIUM", "/no/such/browser")
    with pytest.raises(chromium.NoBrowserError, match="CHROMIUM = '/no/such/browser' does not start"):
        chromium.find()


def test_a_name_on_the_path_that_does_not_start_is_passed_over(machine):
    machine("chromium-browser", "echo 'install the snap'; exit 1")
    path = machine("google-chrome")
    assert chromium.find() == path


def test_the_one_that_playwright_keeps_is_found(machine, tmp_path):
    path = machine("chrome", where=tmp_path / "kept")
    assert chromium.find() == path


def test_playwright_says_where_it_would_keep_one():
    assert "chrom" in chromium.playwrights_own()


def test_nothing_is_installed_where_there_is_a_browser(machine, commands):
    path = machine("chromium")
    assert chromium.find_or_install() == path
    assert not commands


def test_root_on_debian_installs_with_apt_get(machine, commands, monkeypatch):
    machine("apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(chromium.NoBrowserError):
        chromium.find_or_install()
    update, install = commands
    assert update[:2] == ["apt-get", "update"]
    assert install[:2] == ["apt-get", "install"]
    assert set(chromium.PACKAGES) < set(install)


@pytest.mark.parametrize(("apt", "user"), [(True, 1000), (False, 0), (False, 1000)])
def test_everybody_else_installs_with_playwright(machine, commands, monkeypatch, apt, user):
    if apt:
        machine("apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(chromium.NoBrowserError):
        chromium.find_or_install()
    assert commands == [[sys.executable, "-m", "playwright", "install", "chromium"]]


def test_what_has_just_been_installed_is_found(machine, monkeypatch):
    monkeypatch.setattr(chromium, "install", lambda: machine("chromium"))
    assert chromium.find_or_install().endswith("/chromium")


def test_a_machine_that_can_have_no_browser_is_told_in_one_line_what_to_do(machine, commands):
    with pytest.raises(SystemExit) as left:
        chromium.main()
    assert left.value.code == chromium.HELP
    assert "\n" not in chromium.HELP
    assert "apt-get install chromium" in chromium.HELP


def test_the_program_says_where_the_browser_is(tmp_path):
    browser = tmp_path / "mine"
    browser.write_text("#!/bin/sh\nexit 0\n")
    browser.chmod(0o755)
    command = [sys.executable, "-m", "tests.chromium"]
    named = {**os.environ, "CHROMIUM": str(browser)}
    ended = subprocess.run(command, cwd=ROOT, env=named, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, f"{browser}\n")

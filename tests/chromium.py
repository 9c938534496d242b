"""The browser of the tests: `python -m tests.chromium` finds one or installs one, and says where it is.

Looked for in this order: the program that the variable CHROMIUM names, Chromium or Chrome on the path, Chrome as an
application of macOS, the Chromium that Playwright keeps for itself. If there is none, it is installed: by apt-get
where that is possible, else by Playwright. If that fails too, one line says what to do.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# The pages are drawn with emoji, which a bare Debian has no letters for.
PACKAGES = ("chromium", "fonts-noto-color-emoji")
HELP = (
    "the browser tests need Chromium or Chrome: install one (on Debian: apt-get install chromium), "
    "or set CHROMIUM to the path of one"
)


class NoBrowserError(Exception):
    """There is no browser, and none could be installed; the message is one line for whoever runs the tests."""


def find() -> str | None:
    """The path of the first browser that starts, or None.

    Raises NoBrowserError if CHROMIUM names what does not start: whoever sets it wants that one and no other.
    """
    if named := os.environ.get("CHROMIUM"):
        if not starts(named):
            raise NoBrowserError(f"CHROMIUM = {named!r} does not start; name another browser, or unset it")
        return named
    return next(filter(starts, candidates()), None)


def candidates() -> Iterator[str]:
    """Paths at which there is a program, the likeliest first."""
    yield from filter(None, map(shutil.which, NAMES))
    if MACOS.exists():
        yield str(MACOS)
    # Asked last, since it takes a second.
    if (kept := playwrights_own()) and Path(kept).exists():
        yield kept


def playwrights_own() -> str | None:
    """Where Playwright would keep its Chromium, whether it is there or not; None without Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def starts(path: str) -> bool:
    """Does it say its version? A name on the path may be a stub that only tells how to install a browser."""
    return run([path, "--version"], seconds=30)


def install() -> None:
    """Try to install a browser, and Debian's emoji with it where apt-get can be used."""
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("installing Chromium with apt-get, for the browser tests", file=sys.stderr)
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
        if run(["apt-get", "update", "-qq"], environment=quietly) and run(command, environment=quietly):
            return
        playwright.append("--with-deps")  # the libraries that Chromium needs, with apt-get too
    print("installing Chromium with Playwright, for the browser tests", file=sys.stderr)
    run(playwright)


def run(command: list[str], seconds: float = 900, environment: dict[str, str] | None = None) -> bool:
    """Run it without a word. Did it succeed, and in time?"""
    try:
        ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def find_or_install() -> str:
    """The path of a browser. Raises NoBrowserError."""
    found = find()
    if found is None:
        install()
        found = find()
    if found is None:
        raise NoBrowserError(HELP)
    return found


def main() -> None:
    """Print the path of a browser, or end with one line and the exit code 1."""
    try:
        print(find_or_install())
    except NoBrowserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

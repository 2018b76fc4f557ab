"""Get the programs that tests talk to and that no Python package brings. What is on the PATH is taken as it is.

Usage: python tools/servers.py NAME...

Where a program is missing, and this is root on Debian, its package is downloaded and unpacked into build/servers.
Nothing is installed, no service is started, and apt's own lists stay as they are. What cannot be had is named, and the
tests that need it are skipped by name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "build" / "servers"
# The program, and the Debian package that holds it.
PACKAGES = {"sqlite3": "sqlite3"}


def find(name: str) -> str | None:
    """Return the path of the program, from the PATH or from what was fetched earlier."""
    return shutil.which(name) or shutil.which(name, path=str(FOLDER / "bin"))


def fetch(name: str) -> str | None:
    """Return the path of the program, fetched where it is missing; None, and a loud line, where it cannot be had."""
    if path := find(name):
        return path
    try:
        _unpack(name, PACKAGES[name])
    except (OSError, LookupError) as problem:
        print(f"NOT AVAILABLE: {name} ({problem}). The tests that need it are skipped.", flush=True)
        return None
    print(f"{name}: unpacked into {FOLDER}", flush=True)
    return find(name)


def _unpack(name: str, package: str) -> None:
    """Unpack the package and the libraries that it names, and write a starter that finds those libraries."""
    if os.geteuid() != 0 or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise OSError("not on the PATH, and only root on Debian can fetch it")
    root = FOLDER / package
    shutil.rmtree(root, ignore_errors=True)
    downloads = root / "downloads"
    for folder in ("lists", "archives"):
        (downloads / folder / "partial").mkdir(parents=True)
    options = [f"-oDir::State::lists={downloads}/lists", f"-oDir::Cache={downloads}", "-oAPT::Sandbox::User=root"]
    _run(["apt-get", "-qq", *options, "update"], downloads)
    needed = _closure(package, options, downloads)
    _run(["apt-get", "-qq", *options, "download", *needed], downloads)
    for archive in sorted(downloads.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(archive), str(root)], downloads)
    shutil.rmtree(downloads)
    program = next(path for folder in ("usr/bin", "bin") if (path := root / folder / name).is_file())
    places = sorted({str(path.parent) for path in root.rglob("*.so*")})
    starter = FOLDER / "bin" / name
    starter.parent.mkdir(exist_ok=True)
    starter.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{":".join(places)}" exec "{program}" "$@"\n')
    starter.chmod(0o755)


def _closure(package: str, options: list[str], folder: Path) -> list[str]:
    """Return the package with the libraries, and the packages of its own family, that it depends on."""
    family = package.split("-", maxsplit=1)[0]
    needed = [package]
    for name in needed:
        answer = _run(["apt-cache", *options, "depends", name], folder)
        for found in re.findall(r"^ +[|]?Depends: ([a-z0-9.+-]+)$", answer, re.MULTILINE):
            wanted = found.startswith(("lib", family)) and found not in {"libc6", "libgcc-s1", "libcrypt1"}
            if wanted and found not in needed:
                needed.append(found)
    return needed


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, check=False, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(wanted, fetch(wanted) or "-")

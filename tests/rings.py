"""The rules of the three rings, checked on any folder that holds a package. See ARCHITECTURE.md.

Every module says its ring in a line of its docstring: `Ring: policy.`, `Ring: flow.` or `Ring: shell.`

* Policy imports policy, and those parts of the standard library that have no clock, chance, thread, file or socket.
* Flow imports policy and flow.
* Shells import anything but the outer parts (integrations, cli, demo, bench, testing), which are entry points.
* Only the outer parts import frameworks; servers' clients stay in `tiers` and `remote`; nothing but a program that
  plays the stranger (demo, bench) imports the standard sqlite3, because one process has one SQLite (law 8).

An import inside a function counts; one under `if TYPE_CHECKING:` does not. No file reaches 400 lines.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST = 399

# Values in, values out.
PURE = frozenset(
    """__future__ abc array base64 binascii bisect collections collections.abc copy dataclasses datetime decimal difflib
    enum fractions functools hashlib heapq hmac inspect ipaddress itertools keyword math numbers operator pathlib.PurePath re
    reprlib string struct sys.getsizeof sys.intern sys.maxsize textwrap types typing unicodedata urllib.parse uuid weakref
    zlib""".split()
)
# What an operation over a Protocol needs besides: the currency between threads and loops, its own context, and a lock to decide under.
FLOWING = PURE | frozenset("concurrent.futures contextlib contextvars threading.Lock".split())
# Pure ones among the packages: values to bytes and back, a text to its syntax tree.
PURE_PACKAGES = frozenset({"msgspec", "syntaqlite"})
CORE_PACKAGES = PURE_PACKAGES | {"apsw"}
CLIENTS = frozenset({"redis", "hiredis", "pymemcache", "zstandard"})
CLIENT_FOLDERS = frozenset({"tiers", "remote"})
# Each outer part, and the outer parts that it may import.
OUTER = {
    "integrations": frozenset({"integrations"}),
    "testing": frozenset({"testing"}),
    "bench": frozenset({"bench"}),
    "demo": frozenset({"demo", "integrations"}),
    "cli": frozenset({"cli", "demo", "bench"}),
}
STRANGERS = frozenset({"demo", "bench"})

# Asking for the time, or for chance, through a type that is otherwise a value.
_ASKING = frozenset({"now", "today", "utcnow", "uuid1", "uuid4"})
_ASKED = frozenset({"datetime", "date", "uuid"})
_ACTING = frozenset({"open", "input", "print", "exec", "eval", "__import__", "breakpoint"})
_RING = re.compile(r"^Ring: (policy|flow|shell)\.", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its ring (None when it does not say), and its syntax tree."""

    name: str
    file: Path
    is_package: bool
    ring: str | None
    tree: ast.Module
    lines: int

    @property
    def part(self) -> str:
        """The first name below the package, or the empty string for the package itself."""
        return f"{self.name}.".split(".")[1]


def check(folder: Path) -> list[str]:
    """Return what breaks the rules in the package that lies in `folder`, one line each."""
    modules = {module.name: module for module in _modules(folder)}
    problems = []
    for module in modules.values():
        where = module.file.relative_to(folder)
        if module.ring is None:
            problems.append(f"{where}: does not say its ring in its docstring")
        if module.lines > LONGEST:
            problems.append(f"{where}: {module.lines} lines, and {LONGEST} are the most")
        for line, complaint in _complaints(module, modules):
            problems.append(f"{where}:{line}: {module.ring or 'module'} {complaint}")
    return problems


def _modules(folder: Path) -> Iterator[Module]:
    for file in sorted(folder.rglob("*.py")):
        parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text, str(file))
        said = _RING.search(ast.get_docstring(tree) or "")
        name = ".".join(parts[:-1] if is_package else parts)
        yield Module(name, file, is_package, said[1] if said else None, tree, text.count("\n"))


def _complaints(module: Module, modules: dict[str, Module]) -> Iterator[tuple[int, str]]:
    root = module.name.split(".")[0]
    for node in _running(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in _targets(node, module):
                own = target == root or target.startswith(root + ".")
                complaint = _own(module, target, modules) if own else _outside(module, target)
                if complaint:
                    yield node.lineno, complaint
        if module.ring in {"policy", "flow"} and (asked := _acts(node)):
            yield getattr(node, "lineno", 0), f"uses {asked}"


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk through what can run, functions too; not through `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).removeprefix("typing.") == "TYPE_CHECKING":
            yield from (found for branch in node.orelse for found in (branch, *_running(branch)))
        else:
            yield node
            yield from _running(node)


def _targets(node: ast.Import | ast.ImportFrom, module: Module) -> list[str]:
    """Return the full dotted names that are imported: for `from a import b`, both readings are `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
        package = package[: len(package) - (node.level - 1)]
        base = ".".join([*package, *([base] if base else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _own(module: Module, target: str, modules: dict[str, Module]) -> str | None:
    imported = modules.get(target) or modules.get(target.rpartition(".")[0])
    if imported is None:
        return f"imports {target}, which is not there"
    if imported.part in OUTER and imported.part not in OUTER.get(module.part, frozenset()):
        return f"imports {imported.name}, which is an entry point"
    allowed = {"policy": {"policy"}, "flow": {"policy", "flow"}}.get(module.ring or "")
    if allowed and imported.ring and imported.ring not in allowed:
        return f"imports {imported.name}, which is {imported.ring}"
    return None


def _outside(module: Module, target: str) -> str | None:
    """Judge an import of the standard library or of another package."""
    names = {target, target.rpartition(".")[0]}
    top = target.split(".", maxsplit=1)[0]
    if target == "sys":
        return None  # what is taken from it is judged where it is taken
    if top in sys.stdlib_module_names:
        if module.ring in {"policy", "flow"}:
            return None if names & (PURE if module.ring == "policy" else FLOWING) else f"imports {target}"
        foreign = top == "sqlite3" and module.part not in STRANGERS
        return f"imports {target}: one process, one SQLite" if foreign else None
    if module.ring in {"policy", "flow"}:
        return None if top in PURE_PACKAGES else f"imports {target}"
    if module.part in OUTER:
        return None
    allowed = CORE_PACKAGES | (CLIENTS if module.part in CLIENT_FOLDERS else frozenset())
    return None if top in allowed else f"imports {target}, and only an outer part may"


def _acts(node: ast.AST) -> str | None:
    """Say how a node asks for the time or for chance, or acts on the world; None when it does not."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
        return None if f"sys.{node.attr}" in PURE else f"sys.{node.attr}"
    if isinstance(node, ast.Attribute) and node.attr in _ASKING:
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        return f"{owner}.{node.attr}" if owner in _ASKED else None
    if isinstance(node, ast.ImportFrom) and node.module in _ASKED:
        return next((alias.name for alias in node.names if alias.name in _ASKING), None)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ACTING:
        return f"{node.func.id}()"
    return None

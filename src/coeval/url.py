"""Where the database lies: a path or ``sqlite:///`` URL taken apart.

Holds `locate`. Nothing is looked up: a path stays as it was written, and what names no file is refused with its cure.

Ring: policy.
"""

from __future__ import annotations

import re

from coeval.errors import ConfigError

__all__ = ["locate"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE | re.ASCII)


def locate(path: object) -> tuple[str, dict[str, str]]:
    """The file that a path, path object or URL names, and the settings that a URL carries. ConfigError for the rest."""
    text = type(path).__fspath__(path) if hasattr(type(path), "__fspath__") else path  # type: ignore[attr-defined]
    if not isinstance(text, str):
        raise ConfigError(
            f"a path must be str or os.PathLike of str, not {type(text).__name__}",
            hint="For bytes use os.fsdecode(path).",
        )
    query = ""
    if text[:7].lower() == "sqlite:":
        text, _, query = text[7:].partition("?")
        if not text.startswith("///"):
            raise ConfigError(
                f"the URL 'sqlite:{text}' has no three slashes before its path",
                hint="Write sqlite:///relative.db, or sqlite:////absolute/path.db with four.",
            )
        text = _decoded(text[3:], "surrogateescape")
    elif text[:5].lower() == "file:":
        raise ConfigError(
            "a file: URI is SQLite's own notation, and its parameters would go around Coeval's settings",
            hint='Give the plain path, or "sqlite:///app.db?timeout=3" for settings in a URL.',
        )
    elif scheme := _SCHEME.match(text):
        raise ConfigError(
            f"a database cannot be opened by the scheme {scheme[1]!r}",
            hint="Give a path, or sqlite:///app.db. A cache is named by cache=, not by the path.",
        )
    if not text:
        raise ConfigError("the path is empty", hint='Name a file, or ":memory:" for a private temporary database.')
    if "\0" in text:
        raise ConfigError(f"the path {text!r} holds a NUL character", hint="No file can have such a name.")
    return text, _parameters(query)


def _parameters(query: str) -> dict[str, str]:
    """The settings in a URL's query. A plus sign is itself: cache URLs such as redis+cluster: contain it."""
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        name = _decoded(name)
        if name in found:
            raise ConfigError(f"the URL gives {name} twice", hint="Keep one of them.")
        found[name] = _decoded(value)
    return found


def _decoded(text: str, errors: str = "replace") -> str:
    from urllib.parse import unquote  # only URLs need it, and every program waits for imports

    return unquote(text, errors=errors)

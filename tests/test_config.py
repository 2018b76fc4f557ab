"""Settings: where each comes from, what is refused, and what two opens of one file disagree about."""

from __future__ import annotations

import ast
import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.config import Arguments, Settings, conflicts, documented, resolve, variable
from coeval.errors import ConfigError, Error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTHING: Mapping[str, str] = {}

# What each setting is by default: one contract with coeval.open.
DEFAULTS = {
    "cache": "memory",
    "durability": "full",
    "timeout": 5.0,
    "memory_limit": 64 * 2**20,
    "coherence": "stamps",
    "commit_clock": "auto",
    "readers": 32,
    "page_size": 4096,
    "cache_size": 8 * 2**20,
    "mmap_size": 0,
    "checkpoint": "auto",
    "wal_limit": 64 * 2**20,
    "foreign_keys": True,
    "convert": True,
    "on_connect": None,
    "version": "",
    "audit": 0.0,
    "auto_track": False,
    "allow_network_filesystem": False,
}

# As text (URL or environment), and as the value that it must become.
WRITTEN = [
    ("cache", "memory", "memory"),
    ("cache", "none", None),
    ("cache", "None", None),
    ("durability", "normal", "normal"),
    ("timeout", "0.25", 0.25),
    ("timeout", "3", 3.0),
    ("memory_limit", "0", 0),
    ("memory_limit", "1000", 1000),
    ("memory_limit", "64MiB", 64 * 2**20),
    ("memory_limit", "2 gib", 2 * 2**30),
    ("memory_limit", "5KB", 5000),
    ("coherence", "clock", "clock"),
    ("commit_clock", "data_version", "data_version"),
    ("readers", "1000", 1000),
    ("page_size", "512", 512),
    ("page_size", "64KiB", 65536),
    ("cache_size", "1MiB", 2**20),
    ("mmap_size", "256MB", 256_000_000),
    ("foreign_keys", "off", False),
    ("foreign_keys", "0", False),
    ("convert", "No", False),
    ("allow_network_filesystem", "TRUE", True),
    ("allow_network_filesystem", "1", True),
]

# Arguments that must be refused.
REFUSED: list[tuple[str, object]] = [
    ("cache", ""),
    ("cache", "disk"),
    ("cache", True),
    ("durability", "FULL"),
    ("durability", None),
    ("durability", 1),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", True),
    ("timeout", None),
    ("timeout", "5"),
    ("timeout", float("nan")),
    ("timeout", float("inf")),
    ("timeout", 10**400),
    ("memory_limit", -1),
    ("memory_limit", 1.5),
    ("memory_limit", True),
    ("memory_limit", "64 miles"),
    ("memory_limit", "1.5MiB"),
    ("memory_limit", "-1"),
    ("memory_limit", 2**63),
    ("coherence", "trust"),
    ("commit_clock", "wall"),
    ("readers", 0),
    ("readers", 1001),
    ("readers", "4"),
    ("readers", 2.0),
    ("page_size", 256),
    ("page_size", 5000),
    ("page_size", 131072),
    ("cache_size", 100),
    ("mmap_size", -1),
    ("foreign_keys", 1),
    ("foreign_keys", "yes"),
    ("convert", None),
    ("on_connect", "print"),
    ("allow_network_filesystem", "true"),
]


def error(
    path: object = "app.db", arguments: Mapping[str, object] = NOTHING, environ: Mapping[str, str] = NOTHING
) -> Error:
    """The error that resolving raises."""
    with pytest.raises(ConfigError) as caught:
        resolve(path, arguments, environ)
    return caught.value


def test_the_defaults() -> None:
    """An open that says nothing gets the documented defaults."""
    name, settings = resolve("app.db", {}, NOTHING)
    assert name == "app.db"
    assert {setting.name: getattr(settings, setting.name) for setting in documented()} == DEFAULTS


def test_every_setting_is_documented_and_typed_as_an_argument() -> None:
    """Each field has its documentation and a well-formed example, and `Arguments` names exactly the settings."""
    names = [setting.name for setting in documented()]
    assert list(DEFAULTS) == names == list(get_type_hints(Arguments))
    assert {field.name for field in dataclasses.fields(Settings)} - set(names) == {"explicit"}
    for setting in documented():
        assert setting.metadata["about"].endswith((".", ")."))
        example = {setting.name: ast.literal_eval(setting.metadata["example"])}
        resolve("app.db", example, NOTHING)


def test_settings_do_not_change() -> None:
    """Settings are frozen, and equal by their values, wherever these came from."""
    settings = Settings(timeout=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.timeout = 4  # type: ignore[misc]
    assert resolve("app.db", {"timeout": 3.0}, NOTHING)[1] == settings


def test_settings_made_directly_are_checked_and_normalised() -> None:
    """`Settings(...)` accepts what an argument accepts and refuses the rest."""
    assert Settings(memory_limit="1MiB").memory_limit == 2**20  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="readers=0, from the argument, must be a whole number from 1 to 1000"):
        Settings(readers=0)


def test_argument_then_url_then_environment_then_default() -> None:
    """The nearer source wins, for each setting by itself."""
    environ = {"COEVAL_TIMEOUT": "1", "COEVAL_READERS": "1", "COEVAL_DURABILITY": "normal"}
    _, settings = resolve("sqlite:///app.db?timeout=2&readers=2", {"timeout": 3}, environ)
    assert (settings.timeout, settings.readers, settings.durability, settings.page_size) == (3.0, 2, "normal", 4096)


def test_names_and_values_of_a_url_are_decoded() -> None:
    """Percent signs are read on both sides of the equals sign."""
    assert resolve("sqlite:///app.db?%74imeout=%33", {}, NOTHING)[1].timeout == 3.0


def test_an_argument_of_none_turns_the_cache_off() -> None:
    """An argument that is given wins even as None."""
    assert resolve("sqlite:///app.db?cache=memory", {"cache": None}, {"COEVAL_CACHE": "memory"})[1].cache is None


@pytest.mark.parametrize(("name", "text", "value"), WRITTEN)
def test_text_from_the_url_and_from_the_environment(name: str, text: str, value: object) -> None:
    """URL and environment read the same text as the same value of the same type."""
    for settings in (
        resolve(f"sqlite:///app.db?{name}={text}", {}, NOTHING)[1],
        resolve("app.db", {}, {f"COEVAL_{name.upper()}": text})[1],
    ):
        assert value == getattr(settings, name)
        assert type(value) is type(getattr(settings, name))


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_bad_argument_is_refused(name: str, value: object) -> None:
    """The error names the setting, the value and the source, and has a cure."""
    refused = error(arguments={name: value})
    assert refused.message.startswith(f"{name}=")
    assert "from the argument" in refused.message
    assert refused.hint


@pytest.mark.parametrize(
    ("name", "text"), [("timeout", "soon"), ("readers", "many"), ("convert", "2"), ("page_size", "x")]
)
def test_bad_text_names_where_it_stands(name: str, text: str) -> None:
    """A bad value in the URL is said to be in the URL, one in a variable in that variable, each with its own cure."""
    assert f"{name}={text!r}, from the URL, must be" in error(f"sqlite:///app.db?{name}={text}").message
    assert f"?{name}=" in error(f"sqlite:///app.db?{name}={text}").hint
    inherited = error(environ={f"COEVAL_{name.upper()}": text})
    assert f"{name}={text!r}, from the environment variable COEVAL_{name.upper()}, must be" in inherited.message
    assert f"COEVAL_{name.upper()}=" in inherited.hint


def test_an_unknown_setting_comes_with_the_one_that_was_meant() -> None:
    """A misspelt setting is refused, as an argument and in the URL, with its nearest neighbours."""
    assert error(arguments={"time_out": 3}).message == "unknown setting 'time_out' in the argument"
    assert "Did you mean timeout" in error(arguments={"time_out": 3}).hint
    assert error("sqlite:///app.db?duribility=full").message == "unknown setting 'duribility' in the URL"
    assert "Did you mean durability" in error("sqlite:///app.db?duribility=full").hint
    assert "Settings are: cache, durability" in error(arguments={"zzz": 1}).hint
    assert error("sqlite:///app.db?explicit=x").message == "unknown setting 'explicit' in the URL"


def test_other_variables_of_the_environment_are_left_alone() -> None:
    """The environment is shared with other programs and versions: only the settings' own variables are read."""
    environ = {"COEVAL_SOMETHING": "x", "TIMEOUT": "x", "COEVAL_TIMEOUT": "", "COEVAL_ON_CONNECT": "print"}
    assert Settings() == resolve("app.db", {}, environ)[1]
    assert variable("on_connect") is None


def test_a_function_cannot_stand_in_a_url() -> None:
    """on_connect is refused in a URL, with the way to give it."""
    assert "on_connect" in error("sqlite:///app.db?on_connect=print").message
    assert "on_connect=function" in error("sqlite:///app.db?on_connect=print").hint
    assert resolve("app.db", {"on_connect": print}, NOTHING)[1].on_connect is print


@pytest.mark.parametrize(
    "scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster", "unix", "valkey", "memcached", "sqlite"]
)
def test_a_cache_of_a_later_version(scheme: str) -> None:
    """A cache that this version does not have is refused by name, without showing what the URL holds."""
    for refused in (
        error(arguments={"cache": f"{scheme}://user:secret@host/0"}),
        error(f"sqlite:///app.db?cache={scheme}://user:secret@host/0"),
        error(environ={"COEVAL_CACHE": f"{scheme.upper()}://user:secret@host/0"}),
    ):
        assert f"names a {scheme} cache; this version has the memory cache only" in refused.message
        assert 'cache="memory"' in refused.hint
        assert "cache=None" in refused.hint
        assert "secret" not in str(refused)


def test_a_cache_of_an_unknown_scheme() -> None:
    """Any other scheme is unknown, and its URL is not shown either."""
    refused = error(arguments={"cache": "mongodb://user:secret@host"})
    assert "has the unknown scheme 'mongodb'" in refused.message
    assert "secret" not in str(refused)


class Pathlike:
    """A path object that is not pathlib's."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("app.db", "app.db"),
        ("a%20b.db", "a%20b.db"),
        ("what?.db", "what?.db"),
        ("/var/lib/app.db", "/var/lib/app.db"),
        (pathlib.PurePosixPath("/var/lib/app.db"), "/var/lib/app.db"),
        (Pathlike("app.db"), "app.db"),
        (":memory:", ":memory:"),
        ("sqlite:///app.db", "app.db"),
        ("SQLite:///app.db", "app.db"),
        ("sqlite:////var/lib/app.db?timeout=3", "/var/lib/app.db"),
        ("sqlite:///a%20b%3F%25.db", "a b?%.db"),
        ("sqlite:///%C3%A9t%C3%A9.db", "été.db"),
        ("sqlite:///%FF.db", "\udcff.db"),
        ("sqlite:///a+b#1.db", "a+b#1.db"),
        ("sqlite:///app.db?", "app.db"),
        ("sqlite:///:memory:?timeout=3", ":memory:"),
        (Pathlike("sqlite:///app.db"), "app.db"),
    ],
)
def test_the_file_that_is_meant(path: object, name: str) -> None:
    """A plain path is taken as it is; a URL's path is decoded, three slashes for relative and four for absolute."""
    assert name == resolve(path, {}, NOTHING)[0]


@pytest.mark.parametrize(
    ("path", "problem", "cure"),
    [
        ("", "the path is empty", ":memory:"),
        ("sqlite:///", "the path is empty", ":memory:"),
        ("sqlite:///?timeout=3", "the path is empty", ":memory:"),
        ("sqlite://", "three slashes", "sqlite:///relative.db"),
        ("sqlite://app.db", "three slashes", "sqlite:////absolute/path.db"),
        ("sqlite:app.db", "three slashes", "sqlite:///relative.db"),
        ("file:app.db?mode=ro", "file: URI", "plain path"),
        ("file:///app.db", "file: URI", "sqlite:///app.db?timeout=3"),
        ("redis://localhost", "scheme 'redis'", "cache="),
        ("postgresql://localhost/app", "scheme 'postgresql'", "sqlite:///app.db"),
        ("a\0b", "NUL", "such a name"),
        ("sqlite:///a%00b", "NUL", "such a name"),
        (b"app.db", "not bytes", "os.fsdecode"),
        (Pathlike(b"app.db"), "not bytes", "os.fsdecode"),
        (None, "not NoneType", "os.fsdecode"),
        (3, "not int", "os.fsdecode"),
        ("sqlite:///app.db?timeout=1&timeout=1", "timeout twice", "one of them"),
    ],
)
def test_what_is_no_file(path: object, problem: str, cure: str) -> None:
    """Anything that does not name a file is refused with a cure."""
    assert problem in error(path).message
    assert cure in error(path).hint


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives_a_url(name: str) -> None:
    """Every file name can be written in a URL by percent-encoding it."""
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    assert name == resolve(f"sqlite:///{encoded}", {}, NOTHING)[0]


@given(st.text(), st.text())
def test_nothing_but_configuration_errors(path: str, query: str) -> None:
    """Whatever text is given, the answer is settings or a ConfigError with a cure."""
    hints = []
    for attempt in (path, f"sqlite:///{path}?{query}", f"sqlite:///a?{path}={query}", f"sqlite:///a?timeout={query}"):
        try:
            resolve(attempt, {}, NOTHING)
        except ConfigError as refused:
            hints.append(refused.hint)
    assert all(hints)


def test_a_second_open_that_asks_for_something_else() -> None:
    """A conflict is a setting that the second open names and the first has otherwise."""
    inforce = resolve("app.db", {"timeout": 3, "durability": "normal"}, NOTHING)[1]
    assert conflicts(
        inforce, resolve("sqlite:///app.db?timeout=4", {"durability": "full", "readers": 32}, NOTHING)[1]
    ) == ["durability", "timeout"]


def test_a_second_open_that_asks_for_nothing() -> None:
    """An open that says nothing takes the file as it is; the environment asks for nothing either."""
    inforce = resolve("app.db", {"timeout": 3}, NOTHING)[1]
    assert conflicts(inforce, resolve("app.db", {}, {"COEVAL_TIMEOUT": "9"})[1]) == []
    assert conflicts(inforce, resolve("app.db", {"timeout": 3.0}, NOTHING)[1]) == []


def test_functions_are_compared_by_what_they_are() -> None:
    """The same function is no conflict, nor the same bound method; another function of the same code is one."""

    def function() -> Callable[[object], None]:
        return lambda _connection: None

    first, second = function(), function()
    inforce = resolve("app.db", {"on_connect": first}, NOTHING)[1]
    assert conflicts(inforce, resolve("app.db", {"on_connect": first}, NOTHING)[1]) == []
    assert conflicts(inforce, resolve("app.db", {"on_connect": second}, NOTHING)[1]) == ["on_connect"]
    bound: list[object] = []
    inforce = resolve("app.db", {"on_connect": bound.append}, NOTHING)[1]
    assert conflicts(inforce, resolve("app.db", {"on_connect": bound.append}, NOTHING)[1]) == []

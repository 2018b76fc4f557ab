"""The settings of one open database, and where each of them comes from.

Holds `Settings` (frozen; every field carries its own documentation in ``metadata``), `resolve`, which reads the
argument, then the URL, then the environment, then the default, and `conflicts`, which compares two opens of one file.

Upholds law 10 (the limits on memory and readers are set here) and "bad input is refused before anything is touched":
a value that a later layer would choke on never leaves this module.

Ring: policy. The environment is an argument; no file is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, TypedDict, cast

from coeval import kinds
from coeval.errors import ConfigError
from coeval.url import locate

__all__ = ["Arguments", "Settings", "conflicts", "documented", "resolve", "variable"]

# ── The settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _setting(read: kinds.Reader, example: str, about: str) -> dict[str, object]:
    return {"read": read, "example": example, "about": about}


@dataclass(frozen=True, slots=True)
class Settings:
    """How one database is opened. Times are in seconds, sizes in bytes. Immutable; checked when made.

    Each field's ``metadata["about"]`` is its documentation and ``metadata["example"]`` a value as one would write it.
    """

    cache: str | None = field(
        default="memory",
        metadata=_setting(
            kinds.cache,
            '"memory"',
            'Where results are kept: "memory", in this process; or None, nowhere (in a URL or variable, "none").',
        ),
    )
    durability: Literal["full", "normal"] = field(
        default="full",
        metadata=_setting(
            kinds.choice("full", "normal"),
            '"full"',
            'What a returned write has survived: "full", power loss (one fsync a commit or batch); "normal", a killed '
            "process, while power loss may take the commits since the last checkpoint and leaves the file consistent.",
        ),
    )
    timeout: float = field(
        default=5.0,
        metadata=_setting(
            kinds.seconds,
            "5.0",
            "Seconds that a call waits for its turn to write, or for a free reader, before it raises.",
        ),
    )
    memory_limit: int = field(
        default=64 * 2**20,
        metadata=_setting(
            kinds.size(0),
            '"64MiB"',
            "Bytes that the memory cache may hold. 0 keeps nothing. Beyond the limit the least valuable results leave.",
        ),
    )
    coherence: Literal["stamps", "clock"] = field(
        default="stamps",
        metadata=_setting(
            kinds.choice("stamps", "clock"),
            '"stamps"',
            'How a kept result is proved current: "stamps", a random number per table that triggers in the file '
            'replace, so that a commit costs only the results it touched; "clock", any commit costs all of them, and '
            "the file gets no triggers and no tables (for read-only files and other people's schemas).",
        ),
    )
    commit_clock: Literal["auto", "header", "data_version"] = field(
        default="auto",
        metadata=_setting(
            kinds.choice("auto", "header", "data_version"),
            '"auto"',
            'How a commit of any process is noticed: "header", the WAL-index header in shared memory; "data_version", '
            'the PRAGMA, slower by some microseconds a read; "auto", the first where it can be had, else the second.',
        ),
    )
    readers: int = field(
        default=32,
        metadata=_setting(
            kinds.count(1, 1000), "32", "Most reading connections open at a time. They are made when first needed."
        ),
    )
    page_size: int = field(
        default=4096,
        metadata=_setting(
            kinds.page,
            "4096",
            "Bytes of one page of a new file: a power of two from 512 to 65536. A file that exists keeps the size it "
            "has. Larger pages write more per update.",
        ),
    )
    cache_size: int = field(
        default=8 * 2**20,
        metadata=_setting(
            kinds.size(2**16),
            '"8MiB"',
            "Most bytes of pages that SQLite keeps for each connection, in use as pages are read. At least 64 KiB.",
        ),
    )
    mmap_size: int = field(
        default=0,
        metadata=_setting(
            kinds.size(0),
            '"256MiB"',
            "Bytes of the file that SQLite may map into memory. 0, the default, turns an I/O error into an exception "
            "where a mapping turns it into SIGBUS.",
        ),
    )
    checkpoint: Literal["auto", "litestream"] = field(
        default="auto",
        metadata=_setting(
            kinds.choice("auto", "litestream"),
            '"auto"',
            'Who moves the write-ahead log into the file: "auto", Coeval, in the background, so that it stays under 1,000 '
            'pages; "litestream", Litestream, which holds a snapshot and does it itself, and would have to copy the whole '
            "database again if anybody else did.",
        ),
    )
    wal_limit: int = field(
        default=64 * 2**20,
        metadata=_setting(
            kinds.size(2**20),
            '"64MiB"',
            "Bytes of write-ahead log past which snapshots and iterators of this process that are older than a second are "
            "ended, so that it can shrink, and those of other processes reported. At least 1 MiB.",
        ),
    )
    foreign_keys: bool = field(
        default=True, metadata=_setting(kinds.flag, "True", "Whether FOREIGN KEY constraints are enforced.")
    )
    convert: bool = field(
        default=True,
        metadata=_setting(
            kinds.flag,
            "True",
            "Whether a column's declared type turns its values into datetime, date, Decimal, UUID and the like.",
        ),
    )
    on_connect: Callable[[Any], object] | None = field(
        default=None,
        metadata=_setting(
            kinds.function, "None", "Called with every new connection, after it was tuned. As an argument only."
        ),
    )
    version: str = field(
        default="",
        metadata=_setting(
            kinds.text,
            '"2026-11-22"',
            "The version of the deployed program, a part of the keys of all cached functions: under another one, nothing that "
            "older code has computed is found.",
        ),
    )
    audit: float = field(
        default=0.0,
        metadata=_setting(
            kinds.share,
            "0.001",
            "The share of hits, from 0 to 1, that are computed again in the background, in a snapshot where they are still valid, "
            "and compared. A difference is logged as an error, told as the event `audit_difference` and counted in `db.stats()`, "
            "and must never occur. Cached functions are called again too. 0: no hit is looked at, and none is slower.",
        ),
    )
    auto_track: bool = field(
        default=False,
        metadata=_setting(
            kinds.flag,
            "False",
            "Whether columns are tracked as by `Database.track`, on their own, where statistics show that it pays.",
        ),
    )
    allow_network_filesystem: bool = field(
        default=False,
        metadata=_setting(
            kinds.flag,
            "False",
            "Whether to open a file that lies on a network file system, where locks or shared memory may not work and "
            "the file can be damaged.",
        ),
    )
    explicit: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Not a setting: the names that this open asked for by argument or URL. `conflicts` looks at these."""

    def __post_init__(self) -> None:
        for setting in documented():
            value = _checked(setting, getattr(self, setting.name), "argument")
            object.__setattr__(self, setting.name, value)


class Arguments(TypedDict, total=False):
    """The settings as keyword arguments: ``def open(path, **settings: Unpack[Arguments])``."""

    cache: str | None
    durability: Literal["full", "normal"]
    timeout: float
    memory_limit: int | str
    coherence: Literal["stamps", "clock"]
    commit_clock: Literal["auto", "header", "data_version"]
    readers: int
    page_size: int
    cache_size: int | str
    mmap_size: int | str
    checkpoint: Literal["auto", "litestream"]
    wal_limit: int | str
    foreign_keys: bool
    convert: bool
    on_connect: Callable[[Any], object] | None
    version: str
    audit: float
    auto_track: bool
    allow_network_filesystem: bool


def documented() -> tuple[Field[Any], ...]:
    """The fields that are settings, in the order of their documentation."""
    return tuple(setting for setting in fields(Settings) if setting.metadata)


def variable(name: str) -> str | None:
    """The environment variable of a setting; None for one that text cannot hold."""
    return None if name == "on_connect" else f"COEVAL_{name.upper()}"


def resolve(path: object, arguments: Mapping[str, object], environ: Mapping[str, str]) -> tuple[str, Settings]:
    """The file to open and its settings; of each, the argument, then the URL, then the environment, then the default.

    `arguments` holds only what the caller gave: an argument that is present wins, ``None`` included. An empty
    environment variable counts as absent, and one that names no setting is left alone, because other programs and
    other versions read the same environment.
    """
    filename, written = locate(path)
    known = {setting.name: setting for setting in documented()}
    surrounding = {name: text for name in known if (text := environ.get(variable(name) or "", ""))}
    values: dict[str, Any] = {}
    for source, given in (("environment", surrounding), ("URL", written), ("argument", arguments)):
        for name, value in given.items():
            if name not in known:
                raise _unknown(name, source, known)
            values[name] = _checked(known[name], value, source)
    return filename, Settings(**values, explicit=frozenset(arguments) | frozenset(written))


def conflicts(inforce: Settings, asked: Settings) -> list[str]:
    """The settings in which a further open of a file differs from the one in force.

    Only what `asked` names by argument or URL counts: an open that says nothing takes the file as it is, and the
    environment is a default for the whole process. A bound method equals itself, whenever it is looked up.
    """
    return [
        setting.name
        for setting in documented()
        if setting.name in asked.explicit and getattr(inforce, setting.name) != getattr(asked, setting.name)
    ]


# ── Values and their errors ──────────────────────────────────────────────────────────────────────────────────────────


def _checked(setting: Field[Any], value: object, source: str) -> object:
    name, written = setting.name, source != "argument"
    if written and name == "on_connect":
        raise ConfigError(
            f"on_connect cannot be given in the {source}: it is a function",
            hint="Pass it as an argument: coeval.open(path, on_connect=function).",
        )
    try:
        return cast("kinds.Reader", setting.metadata["read"])(value, written)
    except kinds.Unfit as unfit:
        where = f"the environment variable {variable(name)}" if source == "environment" else f"the {source}"
        raise ConfigError(
            f"{name}={_shown(name, value)}, from {where}, {unfit.problem}",
            hint=unfit.cure or _cure(setting, source),
        ) from None


def _cure(setting: Field[Any], source: str) -> str:
    name, example = setting.name, str(setting.metadata["example"])
    text = example.strip('"').lower() if example in ("True", "False") else example.strip('"')
    written = {"environment": f"{variable(name)}={text}", "URL": f"?{name}={text}"}.get(source, f"{name}={example}")
    return f"Write for example {written}, or leave it out for the default, {setting.default!r}."


def _shown(name: str, value: object) -> str:
    """The value for a message; of a cache URL the scheme alone, because the rest may hold a password."""
    if name == "cache" and isinstance(value, str) and ":" in value:
        return repr(value.partition(":")[0] + ":…")
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _unknown(name: str, source: str, known: Iterable[str]) -> ConfigError:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(f"unknown setting {name!r} in the {source}", hint=f"{meant}Settings are: {', '.join(known)}.")

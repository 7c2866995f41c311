"""Which gates there are: this package's, and those of any package that names one under the entry point group
``airflow_mlgov.gates``. Knows names without importing anything; loads a gate when it is asked for one.

Refuses two gates of one name, and says which package a gate comes from that cannot be loaded.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.extras import offered

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from airflow_mlgov.gates.protocol import Gate

GROUP = "airflow_mlgov.gates"


def names() -> tuple[str, ...]:
    """Every gate's name, sorted.

    :raises ConfigurationError: two packages bring a gate of one name
    """
    return tuple(sorted(_entries()))


def load(name: str) -> Gate[Any]:
    """One gate.

    :raises ConfigurationError: there is none of this name, or its package is broken
    """
    entry = _entries().get(name)
    if entry is None:
        near = get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed are {', '.join(names())}"
        raise ConfigurationError(f"no installed package has a gate {name!r}; {hint}", code="gate.unknown")
    return _loaded(entry)


def load_all() -> tuple[Gate[Any], ...]:
    """Every gate, by name.

    :raises ConfigurationError: the package of one is broken
    """
    return tuple(load(name) for name in names())


@cache
def _entries() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in offered(GROUP):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ConfigurationError(
                f"two gates are called {entry.name!r}: {_origin(other)} and {_origin(entry)}; uninstall one",
                code="gate.twice",
            )
    return found


@cache
def _loaded(entry: EntryPoint) -> Gate[Any]:
    from airflow_mlgov.gates.protocol import Gate

    try:
        gate = entry.load()
    except Exception as error:  # whatever a stranger's module raises while it is imported
        raise ConfigurationError(
            f"the gate {entry.name!r} of {_origin(entry)} cannot be loaded ({type(error).__name__}: {error}): mend or "
            "uninstall that package",
            code="gate.broken",
        ) from error
    if not isinstance(gate, Gate) or gate.name != entry.name:
        raise ConfigurationError(
            f"{_origin(entry)} is no gate called {entry.name!r}: an entry point of {GROUP} names an instance of a "
            "subclass of airflow_mlgov.gates.protocol.Gate with that name",
            code="gate.broken",
        )
    return gate


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "an unknown package"
    return f"{package} ({entry.value})"

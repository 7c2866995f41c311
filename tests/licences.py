"""The licence of everything that an installation brings: ``python -m tests.licences EXTRA…``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROVIDER = "airflow-provider-mlgov"


def brought(name: str, extras: Iterable[str] = ()) -> dict[str, Distribution]:
    """A distribution and all that it depends on, as far as it is installed here, by name."""
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        one, extra = waiting.pop()
        if (one, extra) in asked:
            continue
        asked.add((one, extra))
        try:
            found[canonicalize_name(one)] = distribution(one)
        except PackageNotFoundError:
            continue  # for another system or Python
        for text in found[canonicalize_name(one)].requires or ():
            item = Requirement(text)
            if item.marker is None or item.marker.evaluate({"extra": extra}):
                waiting += [(item.name, more) for more in ("", *item.extras)]
    return dict(sorted(found.items()))


def licence(of: Distribution) -> str:
    """As its metadata say: the expression, the classifiers, or the first line of the old field."""
    if expression := of.metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        item.rpartition(" :: ")[2] for item in of.metadata.get_all("Classifier") or () if item[:7] == "License"
    ]
    told = [item for item in classifiers if item != "OSI Approved"]
    return " and ".join(told) or str(of.metadata.get("License") or "").strip().split("\n")[0][:60]


if __name__ == "__main__":
    for name, found in brought(PROVIDER, sys.argv[1:]).items():
        print(f"{name} {found.version}: {licence(found) or '?'}")

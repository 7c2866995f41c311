"""``make peers``: prints how we come out against the installed libraries' own examples."""

from __future__ import annotations

import sys

from tests.peers.docstrings import examples
from tests.peers.held import Held, hold
from tests.peers.measured import measure
from tests.peers.metrics import printed


def main() -> int:
    """1 where something differs and is not explained."""
    found = {"scikit-learn": (measure(printed()), "metrics"), "Great Expectations": (hold(examples()), "types")}
    for library, (held, what) in found.items():
        _print(library, held, what)
    return 1 if any(held.differing for held, _ in found.values()) else 0


def _print(library: str, held: Held, what: str) -> None:
    print(f"{library}'s docstrings: {sum(held.types.values())} examples of {len(held.types)} {what}")
    print(f"agree: {held.agreed}; differ and are explained: {len(held.explained)}; differ: {len(held.differing)}")
    for name, why in {**held.explained, **held.differing}.items():
        print(f"  {name}: {why}")


if __name__ == "__main__":
    sys.exit(main())

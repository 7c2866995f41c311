"""``make peers``: prints how we come out against the installed libraries' own examples."""

from __future__ import annotations

import sys

from tests.peers.docstrings import examples
from tests.peers.held import hold


def main() -> int:
    """1 where something differs and is not explained."""
    held = hold(examples())
    print(f"Great Expectations' docstrings: {sum(held.types.values())} examples of {len(held.types)} types")
    print(f"agree: {held.agreed}; differ and are explained: {len(held.explained)}; differ: {len(held.differing)}")
    for name, why in {**held.explained, **held.differing}.items():
        print(f"  {name}: {why}")
    return 1 if held.differing else 0


if __name__ == "__main__":
    sys.exit(main())

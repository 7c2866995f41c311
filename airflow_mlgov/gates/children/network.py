"""Cuts a child process off the network, where Linux lets an ordinary user do so. Refuses to claim it where it was
not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

CUT = "cut off (network namespace of its own)"
NOT_CUT = "not cut off (this machine does not allow user namespaces)"
OPEN = "open (it is needed)"


def without_network(command: Sequence[str]) -> tuple[list[str], str]:
    """The command, in a network namespace of its own where that can be had, and how it is with the network, for the
    evidence: :data:`CUT` or :data:`NOT_CUT`."""
    prefix = _prefix()
    return ([*prefix, *command], CUT) if prefix else (list(command), NOT_CUT)


@cache
def _prefix() -> tuple[str, ...]:
    program = shutil.which("unshare")
    if program is None:
        return ()
    prefix = (program, "--map-current-user", "--net", "--")
    try:
        tried = subprocess.run(
            [*prefix, "true"], capture_output=True, timeout=10, check=False, env={"PATH": "/usr/bin:/bin"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return () if tried.returncode else prefix

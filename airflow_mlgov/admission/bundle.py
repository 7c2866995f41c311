"""The digest of a bundle of rules, which its manifest bears as its revision and ``mlgov admission`` is pinned to:
``python -m airflow_mlgov.admission.bundle FOLDER`` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.strict_files import read_json

MANIFEST = ".manifest"


def revision_of(folder: Path) -> str:
    """``sha256:`` and the digest of all files of a bundle but its manifest: rules and data.

    :raises ConfigurationError: there is no such folder
    :raises EvidenceError: it holds no file, or a link
    """
    return f"sha256:{hash_tree(folder, frozenset({MANIFEST}))}"


def stated_revision(folder: Path) -> str:
    """The revision that a bundle's manifest bears.

    :raises ConfigurationError: it has no manifest, or that has no revision
    """
    content = read_json(folder / MANIFEST, "manifest of the bundle").content
    revision = content.get("revision") if isinstance(content, dict) else None
    if not isinstance(revision, str):
        raise ConfigurationError(f"{folder / MANIFEST} has no revision", code="opa.bundle")
    return revision


def stamp(folder: Path) -> str:
    """Write the revision into a bundle's manifest."""
    revision = revision_of(folder)
    (folder / MANIFEST).write_text(json.dumps({"revision": revision, "roots": ["system", "mlgov"]}, indent=2) + "\n")
    return revision


if __name__ == "__main__":
    sys.stdout.write(stamp(Path(sys.argv[1])) + "\n")

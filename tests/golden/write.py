"""Writes the golden files that are not there: ``python -m tests.golden.write``. One that is there is never touched."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from airflow_mlgov.evidence.digests import canonical_json
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.statements import FORM
from tests.worlds import samples


def main() -> None:
    """Write what is missing."""
    if not (samples.HERE / "data" / "train.csv").exists():
        samples.write_data(samples.HERE / "data")
    _write_statements(samples.HERE / f"form{FORM}")
    _write(samples.HERE / "decision_input.json", samples.input_of_the_rules)
    os.chdir(samples.HERE / "data")
    for name in samples.GATES:
        _write(samples.HERE / "gates" / f"{name}.json", lambda name=name: samples.evidence_of(name))


def _write_statements(folder: Path) -> None:
    """All of a form at once, for the private key is thrown away."""
    if folder.exists():
        return
    folder.mkdir()
    with tempfile.TemporaryDirectory() as secret:
        signer = open_signer(f"local:{secret}/key.pem", make_key=True)
        TrustRoot().with_key(signer.public_key, duties()).save(folder / "trust.json")
        for name, make in samples.STATEMENTS.items():
            (folder / f"{name}.json").write_bytes(canonical_json(make().as_json()))
            (folder / f"{name}.dsse.json").write_text(sign_statement(make(), signer))


def _write(path: Path, make: Any) -> None:
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(make(), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

"""``docs/drills.md``: every command, in order, on a real registry and ledger."""

from pathlib import Path

import pytest

from tests.fixtures.mlflow_server import MlflowServer
from tests.worlds.governed import Governed
from tests.worlds.pages import ROOT, play

pytestmark = pytest.mark.slow


def test_what_went_wrong_is_mended(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    governed = Governed(tmp_path, mlflow_server, model="credit")
    for weight in (1.0, 2.0):
        governed.promote(governed.candidate(weight))
    printed = play(ROOT / "docs" / "drills.md", tmp_path, governed.shell)
    assert "not served: exit code 1" in printed
    assert "an incident is open: exit code 1" in printed
    assert governed.registry.aliases("credit") == {"champion": "1"}
    old, new = [key for key in governed.trust.keys if key.duties == {"performance"}]
    assert (old.valid_until is None, new.valid_until is None) == (False, True)
    assert governed.kinds().count("incident") >= 1

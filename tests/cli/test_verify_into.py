"""``mlgov verify --into``: exactly the verified bytes are left in a folder, or nothing."""

from pathlib import Path

import pytest

from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.release import leaving
from tests.fixtures.shell import Run
from tests.worlds.governed import Governed, spoil


def test_the_files_are_left_if_they_may_serve(governed: Governed, shell: Run, run: Run, tmp_path: Path) -> None:
    good, other = governed.candidate(), governed.register(2.0)
    governed.promote(good)
    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file]
    into, nothing = tmp_path / "served" / "model", tmp_path / "nothing"
    code, out, err = run("verify", f"models:/{governed.model}@champion", *where, "--into", into)
    assert code == 0, out + err
    assert hash_tree(into) == governed.registry.digest(good)

    code, _, err = run("verify", good.uri, *where, "--into", into)
    assert code == 2
    assert "into.not_empty" in err
    assert hash_tree(into) == governed.registry.digest(good)

    assert run("verify", other.uri, *where, "--into", nothing)[0] == 1
    assert list(nothing.iterdir()) == []
    spoil(governed.artifact(good))
    assert run("verify", good.uri, *where, "--into", nothing)[0] == 1
    assert list(nothing.iterdir()) == []
    code, _, err = run("verify", "--pack", tmp_path / "p.zip", "--trust", governed.trust_file, "--into", nothing)
    assert code == 2
    assert "option.missing" in err
    (tmp_path / "file").write_text("")
    assert run("verify", good.uri, *where, "--into", tmp_path / "file")[0] == 2


def test_something_writes_there_meanwhile(
    governed: Governed, shell: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = governed.candidate()
    governed.promote(good)
    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file]
    copied = leaving.copytree

    def and_more(files: Path, folder: Path, **given: object) -> None:
        copied(files, folder, **given)
        (folder.parent / "hook.py").write_text("evil")

    monkeypatch.setattr(leaving, "copytree", and_more)
    code, _, err = run("verify", good.uri, *where, "--into", tmp_path / "served")
    assert code == 1
    assert "artifact.changed" in err
    assert list((tmp_path / "served").iterdir()) == []


def test_what_a_killed_copy_has_left_stops_nobody(
    governed: Governed, shell: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An init container starts again in the same pod, with the same volume."""
    good, into = governed.candidate(), tmp_path / "served"
    governed.promote(good)
    where = ["--ledger", governed.ledger_url, "--trust", governed.trust_file, "--into", into]
    with monkeypatch.context() as killed:
        killed.setattr(leaving, "_empty", lambda folder: None)
        killed.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        assert run("verify", good.uri, *where)[0] != 0
    assert list(into.iterdir()) != []
    code, out, err = run("verify", good.uri, *where)
    assert code == 0, out + err
    assert hash_tree(into) == governed.registry.digest(good)

"""An evidence pack verifies without ledger, MLflow and Airflow, and shows what was changed in it or left out of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.checkpoints import make_checkpoint
from airflow_mlgov.evidence.pack import open_pack, write_pack
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.release.explanation import explain_bytes
from tests.codes import raises_code
from tests.worlds.governed import Governed
from tests.worlds.statements import make_statement


@pytest.fixture
def packed(governed: Governed) -> tuple[Governed, Path, TrustRoot]:
    """A promoted version among evidence of other models, packed with a checkpoint."""
    governed.attest("fairness", make_statement(digest="9" * 64))
    version = governed.candidate()
    governed.promote(version)
    governed.attest("fairness", make_statement(digest="8" * 64))
    checkpoint = make_checkpoint(governed.ledger, governed.signer("checkpoint"), governed.context())
    out = governed.folder / "evidence.zip"
    kept, size = write_pack(governed.ledger, governed.registry.subject(version), out, checkpoint)
    assert (kept, size) == (6, 8)
    return governed, out, TrustRoot.load(governed.trust_file)


def rewrite(path: Path, change: Callable[[dict[str, list[str]]], Any]) -> None:
    """Edit a pack's files, line by line."""
    with ZipFile(path) as pack:
        files = {name: pack.read(name).decode().splitlines() for name in pack.namelist()}
    change(files)
    with ZipFile(path, "w") as pack:
        for name, lines in files.items():
            pack.writestr(name, "\n".join(lines))


def edit(files: dict[str, list[str]], index: int, **change: Any) -> None:
    files["ledger.jsonl"][index] = json.dumps({**json.loads(files["ledger.jsonl"][index]), **change})


def test_a_pack_says_why_the_model_may_serve(packed: tuple[Governed, Path, TrustRoot], tmp_path: Path) -> None:
    governed, path, trust = packed
    pack = open_pack(path, trust)
    artifact = governed.artifact(governed.registry.resolve(f"models:/{governed.model}@champion"))
    answer = explain_bytes(pack.subject(artifact), pack, trust)
    assert answer.allowed, answer.reasons
    assert pack.notes(artifact) == []
    assert "no artifact was hashed" in pack.notes(None)[0]
    (artifact / "MLmodel").write_text("something else")
    changed = explain_bytes(pack.subject(artifact), pack, trust)
    assert [code for code, _ in changed.reasons] == ["promotion.missing"]


def test_the_command_needs_neither_mlflow_nor_airflow(packed: tuple[Governed, Path, TrustRoot]) -> None:
    governed, path, _ = packed
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('mlflow', 'airflow', 'great_expectations'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.argv = ['mlgov', 'verify', '--pack', {str(path)!r}, '--trust', {str(governed.trust_file)!r}]\n"
        "from airflow_mlgov.cli import main\n"
        "try: main()\n"
        "finally: print(*{'sqlalchemy', 'pydantic', 'mlflow', 'airflow'} & sys.modules.keys(), 'imported')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "may serve, because" in done.stdout
    assert "! no artifact was hashed" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported", done.stdout


CHANGES: dict[str, tuple[Callable[[dict[str, list[str]]], Any], str, str]] = {
    "an entry is left out": (lambda f: f["ledger.jsonl"].pop(2), "ledger.entry_missing", "entry 3"),
    "the tail is cut": (lambda f: f["ledger.jsonl"].pop(), "ledger.tail_cut", ""),
    "an envelope about the model is withheld": (lambda f: edit(f, 2, envelope=""), "pack.entry_withheld", "entry 3"),
    "a row is edited": (lambda f: edit(f, 2, recorded_at="2020"), "ledger.entry_changed", "entry 3"),
    "an envelope is exchanged": (
        lambda f: edit(f, 2, envelope=json.loads(f["ledger.jsonl"][1])["envelope"]),
        "ledger.entry_changed",
        "entry 3",
    ),
    "a row of another model is edited": (
        lambda f: edit(f, 0, subject_digest="7" * 64),
        "ledger.entry_changed",
        "entry 1",
    ),
    "a number is no number": (lambda f: edit(f, 2, seq="3"), "pack.entry_malformed", ""),
    "the checkpoint is of another ledger": (
        lambda f: f.update({"checkpoint.json": [json.loads(f["ledger.jsonl"][5])["envelope"]]}),
        "checkpoint.kind",
        "",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_changed_is_found(packed: tuple[Governed, Path, TrustRoot], name: str) -> None:
    _, path, trust = packed
    change, code, where = CHANGES[name]
    rewrite(path, change)
    with raises_code(EvidenceError, code, match=where):
        pack = open_pack(path, trust)
        explain_bytes(pack.subject(None), pack, trust)


def test_files_that_are_no_packs(packed: tuple[Governed, Path, TrustRoot], tmp_path: Path) -> None:
    governed, path, trust = packed
    with raises_code(ConfigurationError, "file.not_writable"):
        write_pack(governed.ledger, open_pack(path, trust).model, path)
    (tmp_path / "text.zip").write_text("no zip")
    for name, code in (("text.zip", "pack.malformed"), ("gone.zip", "file.missing")):
        with raises_code(ConfigurationError, code):
            open_pack(tmp_path / name, trust)
    rewrite(
        path, lambda f: f.update({"manifest.json": [f["manifest.json"][0], '"version": 2,', *f["manifest.json"][2:]]})
    )
    with raises_code(ConfigurationError, "pack.version"):
        open_pack(path, trust)


def test_without_a_checkpoint_it_says_what_cannot_be_known(governed: Governed) -> None:
    version = governed.candidate()
    out = governed.folder / "evidence.zip"
    write_pack(governed.ledger, governed.registry.subject(version), out)
    pack = open_pack(out, TrustRoot.load(governed.trust_file))
    assert "no signed checkpoint" in pack.notes(None)[1]
    assert not explain_bytes(pack.subject(None), pack, TrustRoot.load(governed.trust_file)).allowed

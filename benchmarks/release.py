"""Contenders of what a release does: the command line's start, a decision over many results, a tree of many files."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contender import Steps
from benchmarks.ledger import promote

DIGEST = "a" * 64


def mlgov(words: Sequence[str]) -> Steps:
    """The command line, as a process."""
    yield None
    from airflow_mlgov.cli import main

    sys.argv = ["mlgov", *words]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    return {"started": True}


def imports(modules: Sequence[str]) -> Steps:
    """Libraries alone."""
    yield None
    for module in modules:
        importlib.import_module(module)
    return {"started": True}


def imports_and_hash(modules: Sequence[str], path: str) -> Steps:
    """Libraries, and each file of a tree, hashed."""
    yield None
    for module in modules:
        importlib.import_module(module)
    for file in sorted(Path(path).rglob("*")):
        if file.is_file():
            hashlib.sha256(file.read_bytes())
    return {"started": True}


def hash_tree(path: str) -> Steps:
    """A model's digest."""
    from airflow_mlgov.evidence import digests

    yield None
    return {"digest": digests.hash_tree(path)}


def sha256sum(path: str) -> Steps:
    """The same by the tools of a shell."""
    yield None
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs sha256sum | sha256sum"
    done = subprocess.run(command, shell=True, cwd=path, capture_output=True, check=True, text=True)
    return {"digest": done.stdout.split()[0]}


def decision(path: str) -> Steps:
    """All evidence verified, and the decision made, over the results of one model."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.decision import Request, decide
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.release.timeline import evidence_for
    from airflow_mlgov.results import Subject

    yield None
    trust, policy = TrustRoot.load(f"{path}/trust.json"), load_policy(f"{path}/mlgov.yaml")
    records = open_ledger(f"sqlite:///{path}/ledger.db", create=False).walk()
    model = Subject("model", "m", DIGEST, "1", "http://mlflow")
    dossier = evidence_for(records, trust, model, "bench")
    made = decide(Request(model, "production", "bench"), policy, dossier.good, dossier.bad, history=dossier.history)
    assert {code for code, _ in made.reasons} == {"provenance.missing"}, made.reasons
    return {"results": len(dossier.good)}


def signatures(path: str) -> Steps:
    """The same envelopes, walked, and their signatures checked alone."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot

    yield None
    trust = TrustRoot.load(f"{path}/trust.json")
    records = open_ledger(f"sqlite:///{path}/ledger.db", create=False).walk()
    return {"results": sum(bool(trust.open_envelope(entry.envelope)) for entry in records.entries())}


def many_files(folder: Path, files: int) -> Path:
    """A tree of files of 5 kB, a hundred folders; made once."""
    made = folder / f"files-{files}"
    if not made.exists():
        half = Path(tempfile.mkdtemp(dir=_there(folder)))
        for number in range(files):
            path = half / f"{number % 100:02}" / f"{number}.bin"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(hashlib.sha256(str(number).encode()).digest() * 160)
        os.replace(half, made)
    return made


def many_results(folder: Path, results: int) -> Path:
    """A ledger with as many results of one gate on one model, all different; made once."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot, open_signer
    from airflow_mlgov.evidence.statements import Context, GateStatement
    from airflow_mlgov.results import Bound, Check, GateResult, Subject

    made = folder / f"results-{results}"
    if not made.exists():
        half = Path(tempfile.mkdtemp(dir=_there(folder)))
        half.chmod(0o700)
        signer = open_signer(f"local:{half / 'key.pem'}", make_key=True)
        TrustRoot().with_key(signer.public_key, ["performance"]).save(half / "trust.json")
        (half / "mlgov.yaml").write_text(
            "version: 1\nmodels:\n  m:\n    gates:\n"
            "      performance: {label: y, score: s, roc_auc: {min: 0.75}}\n"
            "    targets: {production: {alias: champion, requires: [performance]}}\n"
        )
        ledger = open_ledger(f"sqlite:///{half / 'ledger.db'}")
        model, bound = Subject("model", "m", DIGEST, "1", "http://mlflow"), Bound(min=0.75)
        for number in range(results):
            auc = 0.8 + number / 10 / results
            checks = (Check("roc_auc", bound.judge(auc), auc, bound),)
            result = GateResult("performance", model, checks, evaluation_digest="e" * 64)
            ledger.attest(GateStatement.of(result, Context("bench")), signer)
        os.replace(half, made)
    return made


def packed(folder: Path, files: int) -> Path:
    """An evidence pack of a version that was promoted, with the version's files beside it; made once."""
    from airflow_mlgov.evidence.checkpoints import head_to_keep
    from airflow_mlgov.evidence.digests import hash_tree as digest_of
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.notes import sign_note
    from airflow_mlgov.evidence.pack import open_pack, write_pack
    from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer
    from airflow_mlgov.evidence.statements import Context, GateStatement
    from airflow_mlgov.release.explanation import explain_bytes
    from airflow_mlgov.results import Bound, Check, GateResult, Subject

    made = folder / f"pack-{files}"
    if made.exists():
        return made
    half = Path(tempfile.mkdtemp(dir=_there(folder)))
    half.chmod(0o700)
    artifact = half / "artifact"
    artifact.symlink_to(many_files(folder, files), target_is_directory=True)
    model = Subject("model", "m", digest_of(artifact.resolve()), "1", "http://mlflow")
    signer = open_signer(f"local:{half / 'key.pem'}", make_key=True)
    trust = TrustRoot().with_key(signer.public_key, duties())
    trust.save(half / "trust.json")
    ledger, bound = open_ledger(f"sqlite:///{half / 'ledger.db'}"), Bound(min=0.75)
    result = GateResult("performance", model, (Check("roc_auc", bound.judge(0.8), 0.8, bound),))
    promote(
        ledger, signer, model, [ledger.attest(GateStatement.of(result, Context("bench")), signer) for _ in range(40)]
    )
    write_pack(ledger, model, half / "pack.zip", note=sign_note(head_to_keep(ledger), signer))
    answer = explain_bytes(model, open_pack(half / "pack.zip", trust), trust)
    assert answer.allowed, answer.reasons
    os.replace(half, made)
    return made


def _there(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def small_table(folder: Path) -> Path:
    """A csv of 1,000 rows."""
    made = _there(folder) / "small.csv"
    rows = (f"{number % 2},{number // 3 % 2},{'FM'[number // 5 % 2]}\n" for number in range(1000))
    made.write_text("y,p,sex\n" + "".join(rows))
    return made

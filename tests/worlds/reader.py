"""The machine of a reader of the documentation: what pages take for given is there, under the names that pages use.

A real MLflow and a real OpenBao, a ledger, keys, seven versions of a model and the files that commands name.
"""

from __future__ import annotations

import hmac
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airflow_mlgov.evidence.signing import duties, open_signer, sign_statement
from airflow_mlgov.evidence.statements import GateStatement, Person
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.results import Bound, Check, GateResult
from airflow_mlgov.vault import signer_of
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.governed import Governed
from tests.worlds.packs import RULE, TEST
from tests.worlds.pages import ROOT
from tests.worlds.witnesses import Witness

WITH_COMMANDS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
SHOWN = (
    "--evidence $( (mlgov approve models:/credit_risk/7 --target production --sign vault:olga 2>/dev/null || true)"
    " | grep -o 'evidence [0-9a-f]*$' | tail -1 | cut -d' ' -f2)"
)
"""The digest of the evidence that an approver is shown."""
MODEL = "credit_risk"
SCAN = "https://scanner.example/report/v1"
POLICY = f"""\
version: 1
groups: {{risk: [olga, omar, marta, root]}}
people: {{tom: {{}}, rita: {{}}}}
models:
  {MODEL}:
    owners: [data-science@bank.example]
    gates:
      data_validation: {{suite: suite.json}}
      performance: {{label: y, score: s, roc_auc: {{min: 0.75}}}}
      fairness:
        label: y
        prediction: p
        sensitive_features: {{race: [white, non-white]}}
        demographic_parity_ratio: {{min: 0.8}}
    external:
      scanner:
        predicate: {SCAN}
        signed_by: ["%s"]
        rules: {{critical: {{value: /critical, max: 0}}}}
    targets:
      production:
        alias: champion
        requires: [performance, fairness]
        approvals: {{count: 1, from: [risk], not: [trainer, requester]}}
        waivers: {{max_days: 30, signers: 2, from: [risk], audit_within: 14d}}
        break_glass: {{from: [risk], max_hours: 24, audit_within: 2d}}
"""
IN_VAULT = ("registration", "promotion", "checkpoint", "erasure")
"""Duties that the trust root knows by keys in OpenBao too."""


@dataclass
class Machine:
    """One reader's.

    :param folder: where the reader sits; empty
    """

    folder: Path
    server: MlflowServer
    openbao: OpenBaoServer
    knows_olga: bool = True
    """Whether the trust root has her key."""
    versions: dict[str, ModelVersion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.server.registry.calling("begin anew") as client:
            for found in client.search_registered_models(f"name = '{MODEL}'"):
                client.delete_registered_model(found.name)
        self.governed = Governed(self.folder, self.server, model=MODEL)
        self.governed.policy_file.write_text(POLICY % self.signer("scanner").public_key.keyid)
        self._keys()
        self._data()
        self._rules()
        for number in range(1, 8):
            self.versions[str(number)] = self.governed.register(float(number))
        self.run_id = self.server.log_model(8.0)

    # -- what is there ------------------------------------------------------------------------------------------------

    def _keys(self) -> None:
        os.environ.setdefault("no_proxy", "127.0.0.1,localhost")
        trust = self.governed.trust
        for name in (*(f"mlgov-{duty.replace('_', '-')}" for duty in duties()), "olga"):
            self.openbao.make_key(name, "ecdsa-p256" if name == "mlgov-promotion" else "ed25519")
        self._publish("olga"), self._publish("fairness")
        for duty in IN_VAULT:
            trust = trust.with_key(self.in_vault(f"mlgov-{duty}").public_key, [duty])
        if self.knows_olga:
            key = self.in_vault("olga").public_key
            trust = trust.with_key(key, ["approval", "waiver"], person=Person("olga", "olga"))
        trust = trust.with_key(self.signer("scanner").public_key, ["witness"])
        trust.save(self.governed.trust_file)

    def in_vault(self, key: str) -> Any:
        """The signer of a Transit key."""
        return signer_of(f"vault:{key}", lambda: self.openbao.client)

    def signer(self, name: str) -> Any:
        """The signer of a key file."""
        return open_signer(f"local:{self.folder / name}.pem", make_key=True)

    def _publish(self, name: str) -> None:
        """The public half of a key that is elsewhere, as a file."""
        key = Ed25519PrivateKey.generate().public_key()
        (self.folder / "public").mkdir(exist_ok=True)
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "public" / f"{name}.pem").write_bytes(pem)

    def _data(self) -> None:
        random, rows = np.random.default_rng(3), 4_000
        truth = random.integers(0, 2, rows)
        score = np.clip(0.3 + 0.4 * truth + random.normal(0, 0.15, rows), 0, 1).round(4)
        frame = pd.DataFrame(
            {
                "id": range(rows),
                "y": truth,
                "s": score,
                "p": (score > 0.5).astype(int),
                "sex": random.choice(["female", "male"], rows),
                "race": random.choice(["white", "non-white"], rows),
                "income": random.lognormal(10, 0.4, rows).round(),
                "approved": truth,
            }
        )
        frame.to_parquet(self.folder / "scored.parquet", index=False)
        columns = ["id", "income", "sex", "approved"]
        frame[columns].iloc[:3000].to_csv(self.folder / "train.csv", index=False)
        frame[columns].iloc[3000:].to_csv(self.folder / "test.csv", index=False)
        frame[columns].to_parquet(self.folder / "train.parquet", index=False)
        scores = pd.DataFrame({"id": range(2000), "toxic": [1 if at < 4 else 0 for at in range(2000)]})
        scores.to_json(self.folder / "scores.jsonl", orient="records", lines=True)
        suite = {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "income"}}]}
        (self.folder / "suite.json").write_text(json.dumps(suite))
        kinds = {"id": "INT", "income": "FLOAT", "sex": "BYTES", "approved": "INT"}
        schema = [f'feature {{ name: "{name}" type: {kind} }}\n' for name, kind in kinds.items()]
        (self.folder / "schema.pbtxt").write_text("".join(schema))

    def _rules(self) -> None:
        for rules in (self.folder / "rules", self.folder / "rules" / "acme", self.folder / "old" / "acme"):
            rules.mkdir(parents=True)
        for name, text in (("owner.rego", RULE), ("owner_test.rego", TEST)):
            (self.folder / "rules" / name).write_text(text)
            (self.folder / "old" / "acme" / name).write_text(text)
        shutil.copytree(ROOT / "examples" / "ci" / "github" / ".github", self.folder / ".github")
        shutil.copytree(ROOT / "deploy", self.folder / "deploy")
        shutil.copy(ROOT / "examples" / "ci" / "argo" / "workflow-template.yaml", self.folder / "workflow.yaml")
        shutil.copytree(ROOT / "dags", self.folder / "dags")

    # -- what happens there -------------------------------------------------------------------------------------------

    def judge(self, number: str, ratio: float = 0.9) -> None:
        """The gates' evidence about a version."""
        governed, bound = self.governed, Bound(min=0.8)
        subject = governed.registry.subject(self.versions[number])
        governed.judge(self.versions[number])
        checks = (Check("demographic_parity_ratio[race]", bound.judge(ratio), ratio, bound),)
        result = GateResult("fairness", subject, checks, evaluation_digest="e" * 64)
        governed.attest("fairness", GateStatement.of(result, governed.context()))

    def serve(self, *numbers: str) -> None:
        """Take versions to production, one after the other."""
        for number in numbers:
            self.judge(number)
            self.governed.approve(self.versions[number], by="omar")
            self.governed.promote(self.versions[number])

    def stray(self) -> int:
        """An entry that nobody's key has signed; its number."""
        return self.governed.judge(self.versions["1"], duty="a-stranger").seq

    def scan(self) -> None:
        """What a scanner of somebody else hands over."""
        subject = self.governed.registry.subject(self.versions["7"])
        said = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": MODEL, "digest": {"sha256": subject.digest}}],
            "predicateType": SCAN,
            "predicate": {"critical": 0},
        }
        (self.folder / "scan.dsse.json").write_text(sign_statement(said, self.signer("scanner")))

    def features(self) -> None:
        """Rows of features, one of them hashed by a key that is elsewhere, and a card's document."""
        mails = [hmac.new(b"a secret", f"c{at}@mail.example".encode(), "sha256").hexdigest() for at in range(500)]
        frame = pd.DataFrame({"mail_h": mails, "customer_id": range(500)})
        frame.to_parquet(self.folder / "rows.parquet", index=False)
        (self.folder / "card.md").write_text("# What it is for\n")

    def witnessed(self, *names: str) -> dict[str, str]:
        """Keep a note that witnesses have cosigned; what each publishes, by its name."""
        (self.folder / "kept").mkdir()
        self.do(
            "mlgov ledger checkpoint --note kept/2026-11-24.note --sign vault:mlgov-checkpoint "
            "--origin bank.example/models"
        )
        note, found = self.folder / "kept" / "2026-11-24.note", [Witness(name) for name in names]
        for witness in found:
            note.write_text(witness.cosign(note.read_text()))
        return {witness.name: witness.verifier for witness in found}

    def do(self, command: str) -> str:
        """What a command prints that this reader gives, or that somebody has given before."""
        done = subprocess.run(
            ["bash", "-euc", command], cwd=self.folder, env={**os.environ, **self.shell, "PATH": WITH_COMMANDS},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout

    @property
    def shell(self) -> dict[str, str]:
        """What this reader's shell is configured by."""
        return {
            **self.governed.shell,
            "VAULT_ADDR": self.openbao.addr,
            "VAULT_TOKEN": self.openbao.root_token,
            "BAO_ADDR": self.openbao.addr,
            "BAO_TOKEN": self.openbao.root_token,
            "HOME": str(self.folder),
            "LOGNAME": "marta",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "MLGOV_SINKS": json.dumps([{"name": "archive", "kind": "folder", "url": str(self.folder / "archive")}]),
        }

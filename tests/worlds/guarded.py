"""The world that most attacks are made on: real MLflow, a real ledger, local keys, no Airflow."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_mlgov.errors import EvidenceError, PromotionRefused
from airflow_mlgov.evidence.chain import Entry
from airflow_mlgov.evidence.proven import ProvenLedger
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import ApprovalStatement, DecisionStatement, GateStatement, Person
from airflow_mlgov.evidence.verification import collect, only
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.explanation import explain
from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject
from airflow_mlgov.vault.policy import key_name
from airflow_mlgov.vault.transit import TransitSigner
from tests.codes import raises_code
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.governed import Governed

TRAINING_DATA = Subject("dataset", "train.csv", "d" * 64)
"""What :meth:`Governed.register` says that a version was made from."""


KEY_FILES, OPENBAO = "key files", "OpenBao"
BOTH = pytest.mark.parametrize("guarded", [KEY_FILES, OPENBAO], indirect=True)
"""An attack that is made on either."""


HEAD = "version: 1\ngroups: {risk-officers: [olga, omar]}\npeople: {tom: {}, rita: {}}\nmodels:\n"


SECTION = """\
  {model}:
    tier: {tier}
    gates:
      performance: {{label: y, score: score, roc_auc: {{min: 0.75}}}}
      fairness:
        label: y
        prediction: prediction
        sensitive_features: {{sex: [female, male]}}
        demographic_parity_ratio: {{min: 0.8, max: 1.25}}
    targets:
      production:
        stage: Production
        alias: champion
        archive_previous: true
        requires: [{requires}]
        approvals: {{count: {count}, from: [risk-officers], not: [trainer, requester]}}
"""


@dataclass
class Guarded(Governed):
    """A model that takes a data gate, two gates over the model, and the approval of somebody else."""

    _subjects: dict[str, Subject] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        requires = "data_validation, performance, fairness"
        section = SECTION.format(model=self.model, tier="medium", requires=requires, count=1)
        self.policy_file.write_text(HEAD + section)

    def subject(self, version: ModelVersion) -> Subject:
        """The version as it was when first asked for: what evidence is made out to. Promotion hashes for itself."""
        if version.version not in self._subjects:
            self._subjects[version.version] = self.registry.subject(version)
        return self._subjects[version.version]

    def change_policy(self, before: str, after: str) -> None:
        """Write the policy anew with some words replaced."""
        text = self.policy_file.read_text()
        assert before in text
        self.policy_file.write_text(text.replace(before, after))

    def validate(self, data: Subject = TRAINING_DATA, outcome: Outcome = Outcome.PASS, **change: Any) -> Entry:
        """The data gate's evidence."""
        result = GateResult("data_validation", data, (Check("row_count", outcome, 600, Bound(min=1)),))
        return self.attest("data_validation", GateStatement.of(result, self.context(**change)))

    def judge(self, version: ModelVersion, auc: float = 0.8, **change: Any) -> Entry:
        """The performance gate's evidence."""
        bound = Bound(min=0.75)
        result = GateResult("performance", self.subject(version), (Check("roc_auc", bound.judge(auc), auc, bound),))
        return self.attest("performance", GateStatement.of(result, self.context(**change)))

    def weigh(self, version: ModelVersion, ratio: float = 0.9, duty: str = "fairness", **change: Any) -> Entry:
        """The fairness gate's evidence."""
        bound = Bound(0.8, 1.25)
        checks = (Check("demographic_parity_ratio[sex]", bound.judge(ratio), ratio, bound),)
        result = GateResult("fairness", self.subject(version), checks)
        return self.attest(duty, GateStatement.of(result, self.context(**change)))

    def gated(self, weight: float = 1.0) -> ModelVersion:
        """A version that has all but its approval."""
        version = self.register(weight)
        self.validate()
        self.judge(version)
        self.weigh(version)
        return version

    def green(self, weight: float = 1.0) -> ModelVersion:
        """A version that may be promoted."""
        version = self.gated(weight)
        self.approve(version)
        return version

    def approve(self, version: ModelVersion, by: str = "olga", approved: bool = True) -> Entry:
        """A person's answer, given on all that gates and signers of waivers have said until now."""
        shown = [entry.envelope_sha256 for entry in self.ledger.entries() if entry.kind in ("gate", "waiver")]
        statement = ApprovalStatement(
            self.subject(version),
            self.context(),
            target="production",
            approver=Person(by, by),
            approved=approved,
            reason="looked at it",
            shown=tuple(shown),
            answered_at=datetime.now(UTC),
        )
        return self.attest("approval", statement)

    def refused(self, version: ModelVersion, **given: Any) -> set[str]:
        """Try to promote it; the codes of the refusal. Nothing in MLflow has moved, and the refusal is signed."""
        before, signed = self.places(), len(self.decisions())
        with pytest.raises(PromotionRefused) as caught:
            self.promote(version, **given)
        assert self.places() == before
        codes = {code for code, _ in caught.value.reasons}
        assert self.decisions()[signed:] == [(version.version, codes)]
        return codes

    def broken(self, version: ModelVersion, code: str, where: str = "", *, by_proofs: str = "") -> None:
        """Neither a promotion nor an explanation gets past the ledger, walked or read by proofs; nothing in MLflow
        moves.

        :param where: the entry that is named
        :param by_proofs: the code where the ledger is read by proofs, if that is another
        """
        before, now = self.places(), self.now(version)
        walked = (False, self.ledger, code, where)
        proven = (True, ProvenLedger(self.ledger, self.trust), by_proofs or code, "" if by_proofs else where)
        for how, records, expected, named in (walked, proven):
            with raises_code(EvidenceError, expected, match=named):
                self.promote(version, proven=how)
            with raises_code(EvidenceError, expected, match=named):
                explain(self.registry, now, records, self.trust)
        assert self.places() == before

    def unfit(self, version: ModelVersion, **given: Any) -> set[str]:
        """The codes for which a version may not serve."""
        answer = self.explain(self.now(version), **given)
        assert not answer.allowed
        return {code for code, _ in answer.reasons}

    def decisions(self) -> list[tuple[str, set[str]]]:
        """Version and codes of each signed decision about the model, in order."""
        found = collect(self.ledger.walk(), TrustRoot.load(self.trust_file), kind="decision", model=self.model)[0]
        return [
            (item.subject.version, {code for code, _ in item.statement.reasons})
            for item in only(found, DecisionStatement)
        ]


@dataclass
class GuardedByVault(Guarded):
    """The same, with a key for each duty in OpenBao."""

    openbao: OpenBaoServer = field(kw_only=True)
    _signers: dict[str, TransitSigner] = field(default_factory=dict)

    def signer(self, duty: str) -> TransitSigner:
        if duty not in self._signers:
            name = f"{self.model}-{key_name(duty)}"
            self.openbao.make_key(name)
            self._signers[duty] = TransitSigner(self.openbao.client, name)
        return self._signers[duty]

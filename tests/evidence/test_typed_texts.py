"""The table of what people typed, in both databases: never changed, and let go of after a notice alone."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from securesystemslib.signer import Signer

from airflow_mlgov.errors import EvidenceError
from airflow_mlgov.evidence.erasure import account, erase
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties
from airflow_mlgov.evidence.statements import Context, Person, Typed
from tests.codes import raises_code
from tests.worlds.samples import LATER, STATEMENTS, typed


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_a_database_lets_go_of_a_text_after_its_notice_alone(url: str, signer: Signer) -> None:
    ledger, trust = open_ledger(url), TrustRoot().with_key(signer.public_key, duties())
    waiver = ledger.attest(STATEMENTS["waiver"](), signer)
    again = ledger.attest(STATEMENTS["waiver"](), signer)  # everybody signs the same terms
    quarantine = ledger.attest(LATER["quarantine"](), signer)
    texts = {"reason": "acceptable for a month", "terms.reason": "few applicants in August", "terms.ticket": "RISK-7"}
    digests = {name: typed(text).sha256 for name, text in texts.items()}
    assert ledger.texts(digests.values()) == {digests[name]: ("00" * 32, text) for name, text in texts.items()}
    assert ledger.oddities() == []
    engine = sa.create_engine(url)
    for wrong in ("UPDATE mlgov_ledger_texts SET text = 'x'", "DELETE FROM mlgov_ledger_texts"):
        with engine.connect() as raw, pytest.raises(sa.exc.DBAPIError, match="append-only"):
            raw.exec_driver_sql(wrong)
    with raises_code(EvidenceError, "ledger.append_only"):
        ledger.forget(digests.values())
    given = {"person": Person("1", "rita"), "ground": "mistake"}
    notices = erase(ledger, again.seq, trust, signer, Context("prod"), fields=["terms.ticket"], **given)
    assert [notice.subject_digest for notice in notices] == [digests["terms.ticket"]]
    notices = erase(ledger, waiver.seq, trust, signer, Context("prod"), **given)
    assert [notice.subject_digest for notice in notices] == [digests["reason"], digests["terms.reason"]]
    found = account(ledger.walk(), trust)
    assert (found.kept, found.erased) == (1, 6)
    assert found.missing == found.altered == found.left == ()
    erase(ledger, quarantine.seq, trust, signer, Context("prod"), **given)
    with engine.connect() as raw:
        assert raw.exec_driver_sql("SELECT count(*) FROM mlgov_ledger_texts").scalar() == 0
    assert ledger.verify().size == 7


def test_a_text_opens_with_its_own_salt_alone() -> None:
    text = Typed.of("few rows")
    read = Typed.read(text.as_signed())
    assert read.opened(text.salt or "", "few rows") == "few rows"
    for salt, said in ((text.salt or "", "few rowz"), ("00" * 32, "few rows"), ((text.salt or "")[:-2], "few rows")):
        with raises_code(EvidenceError, "text.altered"):
            read.opened(salt, said)
    shifted = (text.salt or "") + b"f".hex()
    with raises_code(EvidenceError, "text.altered"):
        read.opened(shifted, "ew rows")

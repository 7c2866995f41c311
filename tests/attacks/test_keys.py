"""A duty's identity in OpenBao that tries to sign for another, and evidence that was signed with the wrong key."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_mlgov.demo import servers, world
from airflow_mlgov.errors import AccessError, ConfigurationError, EvidenceError
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, refuse_local, sign_statement
from airflow_mlgov.evidence.statements import ApprovalStatement, Person
from airflow_mlgov.evidence.verification import quarantine, verify_envelope
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.release.enforcement import enforce
from airflow_mlgov.vault.policy import key_name
from airflow_mlgov.vault.transit import TransitSigner
from tests.codes import raises_code
from tests.fixtures.openbao import OpenBaoServer
from tests.worlds.guarded import Guarded
from tests.worlds.live import root_client


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Duty -> a client that has logged in with its AppRole; ``root`` may do everything."""
    import hvac

    folder = tmp_path_factory.mktemp("keys")
    with servers.start_openbao(folder) as openbao:
        accounts = dict.fromkeys(world.ACCOUNTS.values(), "geheim")
        connections = world.furnish_openbao(openbao, accounts, folder / "trust.json")
        clients = {"root": root_client(openbao)}
        for duty in duties():
            given = connections[f"mlgov_vault_{duty}"]
            client = hvac.Client(url=openbao.url, session=servers.http_session())
            client.auth.approle.login(given["login"], given["password"])
            clients[duty] = client
        yield clients


def test_a_duty_signs_with_its_own_key(identities: dict[str, Any]) -> None:
    for duty in duties():
        assert TransitSigner(identities[duty], key_name(duty)).sign(b"mine").signature


@pytest.mark.parametrize("duty", duties())
def test_no_duty_signs_with_the_key_of_another(identities: dict[str, Any], duty: str) -> None:
    thief = identities[duty]
    for other in set(duties()) - {duty}:
        with raises_code(AccessError, "vault.refused"):
            TransitSigner(thief, key_name(other))
        signer = TransitSigner(identities["root"], key_name(other))
        signer._client = thief  # knows the public half already, and asks for the signature alone
        with raises_code(AccessError, "vault.refused"):
            signer.sign(b"not mine")


@pytest.mark.parametrize("duty", duties())
def test_no_duty_helps_itself_to_more(identities: dict[str, Any], duty: str) -> None:
    import hvac

    thief, own = identities[duty], key_name(duty)
    other = "fairness" if duty != "fairness" else "promotion"
    attempts = [
        lambda: thief.secrets.kv.v2.read_secret_version(f"mlflow/{other}", raise_on_deleted_version=True),
        lambda: thief.secrets.kv.v2.create_or_update_secret(f"mlflow/{duty}", {"username": "admin"}),
        lambda: thief.secrets.transit.rotate_key(own),
        lambda: thief.secrets.transit.update_key_configuration(own, exportable=True),
        lambda: thief.secrets.transit.export_key(own, "signing-key"),
        lambda: thief.secrets.transit.create_key("mlgov-of-my-own"),
        lambda: thief.secrets.transit.list_keys(),
        lambda: thief.sys.create_or_update_policy(own, 'path "*" { capabilities = ["sudo"] }'),
        lambda: thief.auth.approle.generate_secret_id(key_name(other)),
    ]
    for attempt in attempts:
        with pytest.raises(hvac.exceptions.Forbidden):
            attempt()
    assert thief.secrets.kv.v2.read_secret_version(f"mlflow/{duty}", raise_on_deleted_version=True)


def test_evidence_signed_with_the_key_of_another_gate(guarded: Guarded) -> None:
    version = guarded.gated()
    guarded.weigh(version, duty="performance")
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.unverified"}


def test_evidence_signed_with_a_key_that_nobody_trusts_does_not_stand_in(guarded: Guarded) -> None:
    version = guarded.register()
    guarded.validate()
    guarded.judge(version)
    guarded.weigh(version, duty="a-stranger")
    guarded.approve(version)
    assert guarded.refused(version) == {"evidence.missing", "evidence.unverified"}


def test_every_statement_under_every_wrong_key(guarded: Guarded) -> None:
    """Each kind of statement in one release, signed anew with the key of each other duty."""
    guarded.promote(guarded.green())
    guarded.registry.set_tags(guarded.registry.resolve(f"{guarded.model}/1"), {"mlgov.performance": "FAIL"})
    guarded.reconcile()
    trust = TrustRoot.load(guarded.trust_file)
    signers = {duty: guarded.signer(duty) for duty in duties()}
    seen = set()
    for entry in guarded.ledger.entries():
        statement, (key,) = trust.open_envelope(entry.envelope)
        (rightful,) = key.duties
        seen.add(entry.kind)
        for duty in duties():
            envelope = sign_statement(statement, signers[duty])
            if duty == rightful:
                assert verify_envelope(envelope, trust).kind == entry.kind
                continue
            with raises_code(EvidenceError, "evidence.duty", match=f"{duty}, .* {rightful}"):
                verify_envelope(envelope, trust)
    assert seen >= {"gate", "provenance", "approval", "decision", "intent", "promotion", "policy", "incident"}


def test_a_key_after_its_end(guarded: Guarded) -> None:
    """A key that has leaked is ended in the trust root; what it signs from then on counts for nothing."""
    version = guarded.gated()
    trust, ended = TrustRoot(), datetime.now(UTC) - timedelta(minutes=1)
    for duty in duties():
        until = ended if duty == "fairness" else None
        trust = trust.with_key(guarded.signer(duty).public_key, [duty], valid_until=until)
    trust.save(guarded.trust_file)
    assert guarded.refused(version) == {"evidence.missing", "evidence.unverified", "approval.missing"}


def test_the_keys_of_a_trust_root_differ(guarded: Guarded) -> None:
    keys = [
        open_signer(f"local:{Path(guarded.folder) / f'{duty}.pem'}", make_key=True).public_key.keyid
        for duty in duties()
    ]
    assert all(one != other for one, other in permutations(keys, 2))


# -- the trust root itself --------------------------------------------------------------------------------------------


def entries(guarded: Guarded) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(guarded.trust_file.read_text())
    return document


def _one_keyid_two_keys(keys: list[dict[str, Any]], other: dict[str, Any]) -> None:
    keys.append({**other, "keyid": keys[0]["keyid"], "duties": ["fairness"]})


def _an_id_of_ones_own(keys: list[dict[str, Any]], other: dict[str, Any]) -> None:
    keys.append({**other, "keyid": "f" * 64, "duties": ["fairness"]})


def _a_key_twice(keys: list[dict[str, Any]], _: dict[str, Any]) -> None:
    keys.append({**keys[0], "duties": ["fairness"]})


def _dates_the_wrong_way_round(keys: list[dict[str, Any]], _: dict[str, Any]) -> None:
    keys[0] |= {"valid_from": "2026-01-02T00:00:00+00:00", "valid_until": "2026-01-01T00:00:00+00:00"}


def _no_key(keys: list[dict[str, Any]], _: dict[str, Any]) -> None:
    keys[0]["keyval"] = {"public": "zz"}


BENT: dict[str, tuple[Callable[..., None], str]] = {
    "one keyid, two keys": (_one_keyid_two_keys, "trust.key_id"),
    "an id that is not its hash": (_an_id_of_ones_own, "trust.key_id"),
    "one key twice": (_a_key_twice, "trust.key_twice"),
    "dates the wrong way round": (_dates_the_wrong_way_round, "trust.date"),
    "a key that is none": (_no_key, "trust.key"),
}


@pytest.mark.parametrize("where", ["a key file", "OpenBao, ed25519", "OpenBao, ecdsa-p256"])
@pytest.mark.parametrize("name", BENT)
def test_a_trust_root_that_was_bent(guarded: Guarded, openbao: OpenBaoServer, where: str, name: str) -> None:
    if where == "a key file":
        key = guarded.signer("another").public_key
    else:
        kind = where.rpartition(" ")[2]
        openbao.make_key(f"bent-{kind}", kind)
        key = TransitSigner(openbao.client, f"bent-{kind}").public_key
    TrustRoot().with_key(key, ["performance"]).save(guarded.folder / "one.json")
    (other,) = json.loads((guarded.folder / "one.json").read_text())["keys"]
    document = entries(guarded)
    document["keys"].insert(0, other)
    guarded.trust_file.write_text(json.dumps(document))
    assert len(guarded.trust.keys) == len(document["keys"])
    bend, code = BENT[name]
    bend(document["keys"], {**other, "keyval": document["keys"][1]["keyval"]} if name != "one key twice" else other)
    guarded.trust_file.write_text(json.dumps(document))
    with raises_code(ConfigurationError, code):
        TrustRoot.load(guarded.trust_file)


@pytest.mark.parametrize("version", [0, 3, "1", None, 1.5, True])
def test_a_trust_root_of_another_version(guarded: Guarded, version: Any) -> None:
    guarded.trust_file.write_text(json.dumps({**entries(guarded), "version": version}))
    with raises_code(ConfigurationError, "trust.version"):
        TrustRoot.load(guarded.trust_file)


def test_a_trust_root_that_everybody_may_write(guarded: Guarded) -> None:
    _refused_where_everybody_may_write(guarded.trust_file, TrustRoot.load, "trust.writable")


def test_a_policy_that_everybody_may_write(guarded: Guarded) -> None:
    _refused_where_everybody_may_write(guarded.policy_file, load_policy, "policy.writable")
    (guarded.folder / "rules").mkdir()
    rules = guarded.folder / "rules" / "own.rego"
    rules.write_text("package mlgov.custom\nimport rego.v1\n")
    guarded.policy_file.write_text("rules: [rules/own.rego]\n" + guarded.policy_file.read_text())
    load_policy(guarded.policy_file)
    rules.chmod(0o666)
    with raises_code(ConfigurationError, "policy.writable", match="own.rego"):
        load_policy(guarded.policy_file)


def _refused_where_everybody_may_write(file: Path, load: Callable[[Path], object], code: str) -> None:
    """The file, its folder, both, and either of the folders of a link and of what it leads to."""
    closed = file.parent / "closed"
    closed.mkdir(mode=0o755)
    link = closed / "link"
    link.symlink_to(file)
    for file_mode, folder_mode in ((0o666, 0o755), (0o644, 0o777), (0o666, 0o777), (0o666, 0o1777)):
        file.chmod(file_mode)
        file.parent.chmod(folder_mode)
        for path in (file, link):
            with raises_code(ConfigurationError, code, match="chmod o-w"):
                load(path)
    file.chmod(0o644)
    file.parent.chmod(0o1777)
    load(link)
    closed.chmod(0o777)
    with raises_code(ConfigurationError, code, match="replace what is in .*closed"):
        load(link)
    load(file)


def test_a_key_file_signs_nothing_in_production(guarded: Guarded, openbao: OpenBaoServer) -> None:
    guarded.policy_file.write_text("production_environments: [test]\n" + guarded.policy_file.read_text())
    with raises_code(ConfigurationError, "signer.local_in_production"):
        guarded.desk("promotion")
    openbao.make_key("in-production")
    vault = TransitSigner(openbao.client, "in-production")
    refuse_local(vault, "test", ["test"])
    guarded.environment = "dev"
    guarded.desk("promotion")


# -- who acts, and signs afterwards -----------------------------------------------------------------------------------


def _lacks_it(guarded: Guarded, duty: str) -> None:
    TrustRoot(tuple(item for item in guarded.trust.keys if duty not in item.duties)).save(guarded.trust_file)


def _has_it_for_another_duty(guarded: Guarded, duty: str) -> None:
    other = "registration" if duty != "registration" else "audit"
    kept = tuple(item for item in guarded.trust.keys if duty not in item.duties)
    TrustRoot(kept).with_key(guarded.signer(duty).public_key, [other]).save(guarded.trust_file)


def _has_ended_it(guarded: Guarded, duty: str) -> None:
    keyid, before = guarded.signer(duty).public_key.keyid, datetime.now(UTC) - timedelta(minutes=1)
    guarded.trust.ended(keyid, before).save(guarded.trust_file)


@pytest.mark.parametrize("spoilt", [_lacks_it, _has_it_for_another_duty, _has_ended_it])
def test_who_signs_with_a_key_that_the_trust_root_does_not_have_moves_nothing(
    guarded: Guarded, spoilt: Callable[[Guarded, str], None]
) -> None:
    first = guarded.green()
    guarded.promote(first)
    guarded.promote(guarded.green(2.0))
    stray = guarded.weigh(first, duty="a-stranger")
    third = guarded.gated(3.0)
    guarded.approve(third)
    guarded.registry.set_alias(guarded.now(first), "champion")  # by hand: the reconciler would put it back
    whole, places, kinds = guarded.trust_file.read_text(), guarded.places(), guarded.kinds()

    def set_aside() -> None:
        person, signer = Person("olga", "olga"), guarded.signer("reconcile")
        quarantine(guarded.ledger, stray.seq, guarded.trust, signer, guarded.context(), person, "a stray test")

    acts: list[tuple[str, Callable[[], object]]] = [
        ("promotion", lambda: guarded.promote(third)),
        ("promotion", guarded.roll_back),
        ("promotion", lambda: enforce(guarded.desk("promotion"), warn_within=timedelta(days=3))),
        ("reconcile", lambda: guarded.reconcile(revert=True)),
        ("reconcile", set_aside),
        ("approval", lambda: guarded.desk("approval").attest(approval_of(guarded, third))),
    ]
    for duty, act in acts:
        spoilt(guarded, duty)
        with raises_code(ConfigurationError, "signer.untrusted", match=duty):
            act()
        assert guarded.places() == places
        assert guarded.kinds() == kinds
        guarded.trust_file.write_text(whole)
    guarded.reconcile(revert=True)
    assert guarded.places() != places


def approval_of(guarded: Guarded, version: Any) -> ApprovalStatement:
    return ApprovalStatement(
        guarded.subject(version),
        guarded.context(),
        target="production",
        approver=Person("olga", "olga"),
        approved=True,
        reason="looked at it",
        shown=(),
        answered_at=datetime.now(UTC),
    )


# -- an end that is none ----------------------------------------------------------------------------------------------


def test_a_duty_that_moves_leaves_no_key_of_before_behind(guarded: Guarded) -> None:
    """The key of a first try signs for all duties: to move one of them would leave it both."""
    first, new = guarded.signer("first"), guarded.signer("new").public_key
    later = datetime.now(UTC) + timedelta(hours=2)
    root = TrustRoot().with_key(first.public_key, ["approval", "waiver"])
    with raises_code(ConfigurationError, "trust.duty_stays", "waiver"):
        root.moved({"approval": new})
    far = TrustRoot().with_key(first.public_key, ["approval"], valid_until=later + timedelta(days=900))
    for moved in (root.moved({"approval": new, "waiver": new}), far.moved({"approval": new})):
        moved.require_signer(guarded.signer("new"), "approval", later)
        with raises_code(ConfigurationError, "signer.untrusted"):
            moved.require_signer(first, "approval", later)


def test_a_key_that_was_ended_is_not_ended_later(guarded: Guarded) -> None:
    """What a thief has signed since would count again."""
    keyid, now = guarded.signer("fairness").public_key.keyid, datetime.now(UTC)
    ended = guarded.trust.ended(keyid, now - timedelta(days=7))
    with raises_code(ConfigurationError, "trust.date", "already"):
        ended.ended(keyid, now)
    assert ended.ended(keyid, now - timedelta(days=8)).key_for("fairness", now - timedelta(days=7, hours=1)) is None

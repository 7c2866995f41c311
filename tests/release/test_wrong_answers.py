"""A rule engine, an object store and a clock that are wrong for a while: each ends in a refusal or in an error after
which the same step, tried again, gets there. The servers are real; what is between them and the worker fails."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_mlgov.errors import MlgovError
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.rego.client import ServerSettings
from airflow_mlgov.rego.server import OpaServer
from tests.codes import refuses
from tests.fixtures.object_store import REGION, ObjectStore, running_object_store
from tests.fixtures.opa_over_tls import TOKEN, OpaServerOfTests
from tests.fixtures.proxy import Answered, Asked, Fault, Proxy, down, hanging, proxy_of, says, truncated
from tests.worlds.canaries import leaks
from tests.worlds.governed import PASSED, Governed
from tests.worlds.object_store import put, said

SLOW_DOWN = says(503, b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>", "application/xml")


def codes_of(secrets: dict[str, str], act: Callable[[], object]) -> set[str]:
    """The codes with which it is refused or ends; neither it nor its traceback has a secret."""
    with pytest.raises(MlgovError) as caught:
        act()
    text = "".join(traceback.format_exception(caught.value))
    assert leaks(secrets, [("its traceback", text.encode())]) == {}
    return {caught.value.code, *(code for code, _ in getattr(caught.value, "reasons", ()))}


def ended(governed: Governed, version: ModelVersion) -> None:
    """It was promoted, once."""
    assert governed.places()[version.version] == PASSED
    assert len(governed.ledger.entries(kind="promotion")) == 1
    assert governed.reconcile().open == ()


# -- the rule engine --------------------------------------------------------------------------------------------------

OPA_IS: dict[str, tuple[Fault, str]] = {
    "silent": (says(200), "engine.error"),
    "undefined": (says(200, b"{}"), "engine.error"),
    "of another mind": (says(200, b'{"result": ["deny"]}'), "engine.error"),
    "a boolean": (says(200, b'{"result": false}'), "engine.error"),
    "a page": (says(200, b"<html>"), "engine.error"),
    "overloaded": (says(503), "opa.down"),
    "cut off": (truncated, "opa.down"),
    "slow": (hanging, "opa.down"),
    "gone": (down, "opa.down"),
}


def test_an_opa_that_answers_wrongly_or_late_moves_nothing(governed: Governed, opa_over_tls: OpaServerOfTests) -> None:
    version = governed.candidate()
    with proxy_of(opa_over_tls.url) as proxy:
        for name, (fault, code) in OPA_IS.items():
            engine = OpaServer(ServerSettings(proxy.url, TOKEN, timeout=3))
            with proxy.broken(fault, lambda what: what.startswith("POST /v1/data")):
                found = codes_of({"OPA's token": TOKEN}, lambda engine=engine: governed.promote(version, engine=engine))
            assert code in found, (name, found)
            assert governed.places()[version.version] == (None, ())
            assert governed.ledger.entries(kind="promotion") == []
        governed.promote(version, engine=OpaServer(ServerSettings(proxy.url, TOKEN)))
    ended(governed, version)


# -- the object store -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running_object_store(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def proxy(s3: ObjectStore) -> Iterator[Proxy]:
    """Before the store."""
    with proxy_of(s3.url) as made:
        yield made


def without(name: str) -> Fault:
    """A listing that has not heard of an object yet."""

    def fault(asked: Asked) -> None:
        given = asked.forward()
        head, *entries = given.body.split(b"<Contents>")
        last, _, tail = entries[-1].partition(b"</Contents>") if entries else (b"", b"", b"")
        kept = [
            entry
            for entry in [*entries[:-1], last + b"</Contents>"]
            if name.encode() not in entry.partition(b"</Key>")[0]
        ]
        body = head + b"".join(b"<Contents>" + entry for entry in kept) + tail if entries else head
        asked.answer(Answered(given.status, given.headers, body))

    return fault


def lists(what: str) -> bool:
    return what.startswith("GET") and "list-type" in what


STORE_IS = {"overloaded": SLOW_DOWN, "cut off": truncated, "gone": down}


def test_rows_in_a_store_that_is_not_well_are_judged_by_no_gate(s3: ObjectStore, proxy: Proxy, tmp_path: Path) -> None:
    import s3fs

    from airflow_mlgov.data.file_tables import Files

    secrets = {"the store's key": s3.secret}

    def entered() -> s3fs.S3FileSystem:
        where = {"endpoint_url": proxy.url, "region_name": REGION}
        once = {"retries": {"max_attempts": 1}}
        who = {"key": s3.key_id, "secret": s3.secret, "client_kwargs": where, "config_kwargs": once}
        store = s3fs.S3FileSystem(**who, skip_instance_cache=True)
        store.retries = 1
        return store

    def rows(place: str) -> Files:
        return Files(f"s3://rows/{place}", (entered(), f"rows/{place}"))

    put(tmp_path)
    make_bucket(s3, "rows")
    entered().put(f"{tmp_path}/", "rows/", recursive=True)
    for place in ("rows.parquet", "rows.csv", "by_year"):
        here = said("performance", str(tmp_path / place))
        for fault in STORE_IS.values():
            with proxy.broken(fault, lambda what: what.startswith("GET")):
                found = said("performance", rows(place))
            assert found.get("code") == "store.down", (place, fault, found)
            assert leaks(secrets, [("what it says", str(found).encode())]) == {}
        assert said("performance", rows(place)) == here
    with proxy.broken(without("2025"), lists):
        late = said("performance", rows("by_year"))
    assert late.keys() == here.keys(), late
    assert late["evaluated"] != here["evaluated"]
    assert late["read"] != here["read"]  # evidence says of which rows it is, and the others are not among them


def test_a_model_in_a_store_that_is_not_well_is_not_promoted(
    governed: Governed, s3: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    secrets = {"the store's key": s3.secret}
    for name, value in {
        "MLFLOW_S3_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": s3.key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    make_bucket(s3, "models")
    with governed.registry.authenticated():
        experiment = MlflowClient(governed.server.url).create_experiment(
            governed.model, f"s3://models/{governed.model}"
        )
    version = governed.candidate(experiment=experiment)
    assert governed.registry.place(version).startswith("s3://models/")
    faults = {**STORE_IS, "late": without("weight.txt")}
    for name, fault in faults.items():
        with proxy.broken(fault, lists if name == "late" else lambda what: what.startswith("GET")):
            found = codes_of(secrets, lambda: governed.promote(version))
        assert found & {"registry.files_down", "evidence.missing"}, (name, found)
        assert governed.places()[version.version] == (None, ())
    governed.promote(version)
    ended(governed, version)


def make_bucket(s3: ObjectStore, name: str) -> None:
    import boto3

    who = {"aws_access_key_id": s3.key_id, "aws_secret_access_key": s3.secret, "region_name": REGION}
    boto3.client("s3", endpoint_url=s3.url, **who).create_bucket(Bucket=name)


# -- clocks -----------------------------------------------------------------------------------------------------------


@contextmanager
def refused(governed: Governed, version: ModelVersion, code: str) -> Iterator[None]:
    with refuses(code):
        yield
    assert governed.places()[version.version] == (None, ())
    assert governed.ledger.entries(kind="promotion") == []


def test_whose_clock_is_behind_takes_no_evidence_of_its_future(governed: Governed) -> None:
    version, now = governed.candidate(), datetime.now(UTC)
    with refused(governed, version, "evidence.stale"):
        governed.promote(version, context=governed.context(issued_at=now - timedelta(minutes=10)))
    governed.promote(version, context=governed.context(issued_at=now - timedelta(minutes=2)))
    ended(governed, version)


def test_whose_clock_is_ahead_takes_evidence_for_run_out(governed: Governed) -> None:
    version, now = governed.candidate(), datetime.now(UTC)
    with refused(governed, version, "evidence.stale"):
        governed.promote(version, context=governed.context(issued_at=now + timedelta(days=400)))
    governed.promote(version)
    ended(governed, version)


@pytest.mark.parametrize("clock", [timedelta(days=-400), timedelta(days=400)], ids=["behind", "ahead"])
def test_a_gate_whose_clock_is_wrong_is_run_again(governed: Governed, clock: timedelta) -> None:
    version, now = governed.register(), datetime.now(UTC)
    governed.judge(version, issued_at=now + clock)
    with refused(governed, version, "evidence.stale"):
        governed.promote(version)
    governed.judge(version)
    governed.promote(version)
    ended(governed, version)

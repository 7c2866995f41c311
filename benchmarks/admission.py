"""Contenders of the cluster's door: ``mlgov admission`` with a real OPA over a ledger, and the same server with a
constant for an answer, each at 100 reviews a second from this machine. The seconds are the 95th percentile of the
answers, each from the moment at which it was due to be asked."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Steps

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion
    from airflow_mlgov.results import Subject

RATE = 100
CLIENTS = 16
WARM_UP = 2 * RATE
MODEL, REGISTRY = "credit", "https://mlflow.example"
POLICY = """\
version: 1
models:
  credit:
    gates: {performance: {label: y, score: s, roc_auc: {min: 0.75}}}
    targets: {production: {alias: champion, requires: [performance]}}
"""


def real(seconds: int, entries: int) -> Steps:
    """``mlgov admission`` itself."""
    from tests.fixtures.opa import running_opa
    from tests.worlds.admission import bundle

    with TemporaryDirectory(prefix="mlgov-bench-") as home:
        folder = Path(home)
        _promoted(folder, entries)
        made, revision = bundle(folder)
        with running_opa(made, folder) as (url, _), _served(folder, "real", [url, revision]) as port:
            yield None
            figures = _asked(port, seconds)
        yield figures["p95"]
        return figures


def constant(seconds: int, entries: int) -> Steps:  # noqa: ARG001 - as the other
    """The same server, whose judgement is a constant."""
    with TemporaryDirectory(prefix="mlgov-bench-") as home, _served(Path(home), "constant", []) as port:
        yield None
        figures = _asked(port, seconds)
        yield figures["p95"]
        return figures


@contextmanager
def _served(folder: Path, which: str, words: list[str]) -> Iterator[int]:
    from airflow_mlgov.demo.servers import ManagedProcess, free_port

    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.admission", which, str(folder), str(port), *words]
    with ManagedProcess(which, argv, folder / "server.log", cwd=Path(__file__).parents[1]) as process:
        process.wait_until(lambda: _status(port) == 200, timeout=120, poll=0.1)
        yield port


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


def _asked(port: int, seconds: int) -> dict[str, float | int]:
    """Ask at a steady rate, whether or not earlier answers have come."""
    from tests.worlds.admission import deployment, pod_spec, review

    spec = pod_spec(f"models:/{MODEL}/1")
    spec["containers"][0]["env"] = [{"name": "TEAM", "value": "@team"}]
    user = {"username": "@team", "groups": []}
    text, turn = json.dumps(review(deployment(spec), uid="@uid", userInfo=user)), count()
    due: SimpleQueue[float | None] = SimpleQueue()
    taken: list[float] = []
    refused: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while (at := due.get()) is not None:
            name = str(uuid.uuid4())
            team = name if next(turn) % 10 == 0 else "again"
            body = text.replace("@uid", name).replace("@team", team)
            connection.request("POST", "/validate", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            taken.append(time.perf_counter() - at)
            if not answer["response"]["allowed"]:
                refused.append(answer["response"]["status"]["message"])
        connection.close()

    workers = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for worker in workers:
        worker.start()
    start = time.perf_counter()
    for number in range(WARM_UP + RATE * seconds):
        at = start + number / RATE
        time.sleep(max(0.0, at - time.perf_counter()))
        due.put(at)
    for _ in workers:
        due.put(None)
    for worker in workers:
        worker.join()
    if refused:
        raise RuntimeError(refused[0])
    kept = sorted(taken[WARM_UP:])
    cut = statistics.quantiles(kept, n=100)
    return {"answers": len(kept), "p50": cut[49], "p95": cut[94], "p99": cut[98]}


# -- what is behind the door -----------------------------------------------------------------------------------------


class _Registry:
    """Just enough of a registry for one promotion."""

    uri = REGISTRY

    def __init__(self) -> None:
        from airflow_mlgov.addresses import RegistryIdentity
        from airflow_mlgov.registry.protocol import ModelVersion

        self.identity = RegistryIdentity.at(REGISTRY)
        self.version = ModelVersion(MODEL, "1", "r")
        self.holders: dict[str, str] = {}

    def resolve(self, reference: str | Mapping[str, Any]) -> ModelVersion:  # noqa: ARG002
        return self.version

    def versions(self, name: str) -> tuple[ModelVersion, ...]:  # noqa: ARG002
        return (self.version,)

    def aliases(self, name: str) -> Mapping[str, str]:  # noqa: ARG002
        return self.holders

    def subject(self, version: ModelVersion) -> Subject:
        from airflow_mlgov.results import Subject

        return Subject("model", MODEL, "a" * 64, version.version, REGISTRY)

    def set_alias(self, version: ModelVersion, alias: str, *, read_back: bool = True) -> None:  # noqa: ARG002
        self.holders[alias] = version.version

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        pass


def _promoted(folder: Path, entries: int) -> None:
    """A ledger with one promoted version, after as many results of its gate as are asked for."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer
    from airflow_mlgov.evidence.statements import Context, GateStatement, ProvenanceStatement
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.release.desk import Desk
    from airflow_mlgov.release.promotion import promote
    from airflow_mlgov.results import Bound, Check, GateResult, Outcome, Subject

    (folder / "mlgov.yaml").write_text(POLICY)
    signer = open_signer(f"local:{folder / 'key.pem'}", make_key=True)
    trust = TrustRoot().with_key(signer.public_key, duties())
    trust.save(folder / "trust.json")
    policy, registry = load_policy(folder / "mlgov.yaml"), _Registry()
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    context = Context("test", policy.descriptor())
    model, data = registry.subject(registry.version), Subject("dataset", "train.csv", "d" * 64)
    ledger.attest(ProvenanceStatement(model, context, (data,), ("tom",), {"run_id": "r"}), signer)
    checks = (Check("roc_auc", Outcome.PASS, 0.8, Bound(min=0.75)),)
    for number in range(entries):
        result = GateResult("performance", model, checks, evaluation_digest=f"{number:064x}")
        ledger.attest(GateStatement.of(result, context), signer)
    desk = Desk(registry, ledger, trust, policy, signer, context)  # type: ignore[arg-type]
    promote(desk, registry.version, "production")


def _serve(which: str, folder: Path, port: int, words: list[str]) -> None:
    from airflow_mlgov.admission.review import answer
    from airflow_mlgov.admission.server import make_app, serve

    if which == "constant":
        app = make_app(lambda review: answer(review, allowed=True), lambda: None)
        serve(app, host="127.0.0.1", port=port, certificate=None, key=None)
        return
    url, revision = words
    command = [str(Path(sys.executable).parent / "mlgov"), "admission", "--ledger", f"sqlite:///{folder / 'ledger.db'}",
               "--trust", str(folder / "trust.json"), "--policy", str(folder / "mlgov.yaml"), "--opa", url,
               "--bundle-revision", revision, "--port", str(port), "--registry", REGISTRY]  # fmt: skip
    subprocess.run(command, check=True)


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])

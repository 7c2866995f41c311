from tests.fixtures.governed import Governed
from airflow_mlgov.registry.promotion import build_case
from airflow_mlgov.operators.approval import render_case
import pathlib
def test_same_bytes(tmp_path, mlflow_server):
    a = Governed(tmp_path, mlflow_server, "same_a"); pa = a.policy_file.read_text()
    b = Governed(tmp_path, mlflow_server, "same_b")
    text = (pa + b.policy_file.read_text().split("models:\n")[1]).replace("requires: [performance]\n", "requires: [performance]\n        approvals: {count: 1, from: [olga]}\n")
    b.policy_file.write_text(text)
    va = a.candidate(); a.approve(va); vb = b.candidate()
    case = build_case(b.registry, vb, "production", b.grounds, "test")
    pathlib.Path("/tmp/live-explore/same.txt").write_text(f"{case.decision.allowed} {case.decision.reasons} same_digest={case.model.digest == a.registry.subject(va).digest}")

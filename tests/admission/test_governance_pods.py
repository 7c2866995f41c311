"""``governance-pods.yaml``, evaluated by CEL's own library: pods of the template are let in, and no other is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from tests.worlds.manifests import FOLDER, POD, objects

POLICIES = {
    item["metadata"]["name"]: item["spec"]
    for item in objects("governance-pods.yaml")
    if item["kind"] == "ValidatingAdmissionPolicy"
}
BINDINGS = [item["spec"] for item in objects("governance-pods.yaml") if item["kind"].endswith("Binding")]
PODS, IDENTITY = "mlgov-governance-pods", "mlgov-governance-identity"
TEMPLATE: dict[str, Any] = yaml.safe_load((FOLDER / "governance-pod-template.yaml").read_text())
WORKLOAD = ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", '{"token": "…"}']
OF_KUBERNETES = {
    "serviceAccount": "mlgov-governance",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "enableServiceLinks": True,
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
    "imagePullSecrets": [{"name": "registry"}],
    "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
}
"""What the API server writes into a pod before a policy sees it."""
EXECUTOR = {"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"}


def refused(policy: str, request: Mapping[str, Any], pod: Mapping[str, Any] | None = None) -> list[str]:
    """Why a policy refuses; an expression that ends in an error does, because ``failurePolicy`` is ``Fail``."""
    from cel_expr_python import cel

    spec = POLICIES[policy]
    assert spec["failurePolicy"] == "Fail"
    names = ("object", "request", "variables")
    environment = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))
    data: dict[str, Any] = {"object": pod, "request": request, "variables": {}}

    def value(expression: str) -> Any:
        return environment.compile(expression).eval(data=data)

    for item in spec.get("variables", []):
        data["variables"][item["name"]] = value(item["expression"]).plain_value()
    answers = [(item["message"], value(item["expression"])) for item in spec["validations"]]
    return [message for message, answer in answers if answer.type() != cel.Type.BOOL or answer.value() is not True]


def made(change: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    """A pod as the KubernetesExecutor makes it of the template, and as the API server completes it."""
    pod: dict[str, Any] = copy.deepcopy(TEMPLATE)
    pod["spec"].update(copy.deepcopy(OF_KUBERNETES))
    (worker,) = pod["spec"]["containers"]
    worker |= {"args": list(WORKLOAD), "env": [EXECUTOR, *worker["env"]], "imagePullPolicy": "IfNotPresent"}
    worker |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    if change:
        change(pod["spec"])
    return pod


def main(**said: Any) -> Callable[[dict[str, Any]], object]:
    """Change fields of the container."""
    return lambda spec: spec["containers"][0].update(copy.deepcopy(said))


def spec(**said: Any) -> Callable[[dict[str, Any]], object]:
    """Change fields of the pod."""
    return lambda pod: pod.update(copy.deepcopy(said))


def one_more(field: str, item: Mapping[str, Any]) -> Callable[[dict[str, Any]], object]:
    """A further volume of the pod, or a further mount or variable of the container."""

    def change(pod: dict[str, Any]) -> None:
        (pod if field == "volumes" else pod["containers"][0])[field].append(dict(item))

    return change


def instead(volume: str, **source: Any) -> Callable[[dict[str, Any]], object]:
    """Another source of a volume, by its name."""

    def change(pod: dict[str, Any]) -> None:
        pod["volumes"] = [one for one in pod["volumes"] if one["name"] != volume] + [{"name": volume, **source}]

    return change


def mounted(volume: str, **said: Any) -> Callable[[dict[str, Any]], object]:
    """Change how a volume is mounted."""

    def change(pod: dict[str, Any]) -> None:
        (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == volume]
        mount.update(said)

    return change


OTHER = "registry.example/mine@sha256:" + "1" * 64
SHELL = ["sh", "-c", "cat /var/run/secrets/vault/token"]
TOKEN = {"serviceAccountToken": {"path": "token", "audience": "vault"}}
EVIL: dict[str, Callable[[dict[str, Any]], object]] = {
    "another image": main(image=OTHER),
    "the image by a tag": main(image="registry.example/mlgov-airflow:latest"),
    "another command": main(command=SHELL),
    "a command before the task": main(command=["sh", "-c"], args=WORKLOAD),
    "a celery worker of two queues": main(
        command=["airflow", "celery", "worker", "--queues=governance,default"], args=None
    ),
    "no arguments": lambda pod: pod["containers"][0].pop("args"),
    "other arguments": main(args=SHELL),
    "arguments after the task": main(args=[*WORKLOAD, "--extra"]),
    "another module": main(args=["python", "-m", "http.server", "--json-string", "{}"]),
    "a second container": lambda pod: pod["containers"].append({"name": "beside", "image": OTHER, "command": SHELL}),
    "a container before it": spec(initContainers=[{"name": "before", "image": OTHER}]),
    "a container that is attached": spec(ephemeralContainers=[{"name": "debug", "image": OTHER}]),
    "a hook at its start": main(lifecycle={"postStart": {"exec": {"command": SHELL}}}),
    "a probe that runs a program": main(livenessProbe={"exec": {"command": SHELL}}),
    "another working directory": main(workingDir="/tmp"),
    "its end tells the token": main(terminationMessagePath="/var/run/secrets/vault/token"),
    "a variable that Python reads": one_more("env", {"name": "PYTHONSTARTUP", "value": "/tmp/x.py"}),
    "another policy": one_more("env", {"name": "AIRFLOW__MLGOV__POLICY", "value": "/tmp/mlgov.yaml"}),
    "an executor of its own": main(env=[{"name": "AIRFLOW__CORE__EXECUTOR", "value": "mine.Executor"}]),
    "a variable out of a secret": main(
        env=[{"name": "AIRFLOW__CORE__EXECUTOR", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]
    ),
    "a second environment": main(
        envFrom=[{"configMapRef": {"name": "mlgov-governance"}}, {"configMapRef": {"name": "mine"}}]
    ),
    "an environment of secrets": main(envFrom=[{"secretRef": {"name": "mlgov-governance-worker"}}]),
    "an environment with a prefix": main(
        envFrom=[{"configMapRef": {"name": "mlgov-governance"}, "prefix": "X_"}]
    ),
    "no environment": lambda pod: pod["containers"][0].pop("envFrom"),
    "other DAG files": instead("dags", image={"reference": OTHER}),
    "DAG files of a claim": instead("dags", persistentVolumeClaim={"claimName": "dags"}),
    "other connections": instead("connections", configMap={"name": "mine"}),
    "connections out of a secret": instead("connections", secret={"secretName": "mine"}),
    "another secret": instead("secrets", secret={"secretName": "mlgov-promotion-worker"}),
    "a token for the cluster's API": instead(
        "vault-token", projected={"sources": [{"serviceAccountToken": {"path": "token", "audience": "kubernetes"}}]}
    ),
    "a token and a secret": instead("vault-token", projected={"sources": [TOKEN, {"secret": {"name": "mine"}}]}),
    "a folder of the node": one_more("volumes", {"name": "host", "hostPath": {"path": "/"}}),
    "a home out of a claim": instead("home", persistentVolumeClaim={"claimName": "mine"}),
    "no volumes": lambda pod: pod.pop("volumes"),
    "files over the package's": mounted("home", mountPath="/usr/local/lib/python3.12/site-packages"),
    "a part of a volume": mounted("home", subPath="mine"),
    "a mount of no name": one_more("volumeMounts", {"name": "host", "mountPath": "/host"}),
    "another service account": spec(serviceAccountName="default"),
    "no service account": lambda pod: pod.pop("serviceAccountName"),
    "a token of the API": spec(automountServiceAccountToken=True),
    "nothing about the token": lambda pod: pod.pop("automountServiceAccountToken"),
    "the node's network": spec(hostNetwork=True),
    "the node's processes": spec(hostPID=True),
    "one process space": spec(shareProcessNamespace=True),
    "another address of Vault": spec(hostAliases=[{"ip": "10.0.0.9", "hostnames": ["vault.vault"]}]),
    "another DNS": spec(dnsPolicy="None"),
    "DNS servers": spec(dnsConfig={"nameservers": ["10.0.0.9"]}),
    "a node of its choice": spec(nodeName="mine"),
    "a runtime of its choice": spec(runtimeClassName="mine"),
    "a scheduler of its choice": spec(schedulerName="mine"),
}  # fmt: skip


def test_pods_of_the_template_are_let_in() -> None:
    assert refused(PODS, {"operation": "CREATE"}, made()) == []
    celery = {"spec": {**copy.deepcopy(POD), **OF_KUBERNETES}}
    assert refused(PODS, {"operation": "CREATE"}, celery) == []
    assert refused(PODS, {"operation": "CREATE"}, {"spec": POD}) == [], "without what Kubernetes adds"
    running = made(spec(nodeName="node-1"))
    assert refused(PODS, {"operation": "UPDATE"}, running) == [], "the executor labels it when it is done"


@pytest.mark.parametrize("how", EVIL)
def test_no_other_pod_is_let_in(how: str) -> None:
    pod = made(EVIL[how])
    assert len(refused(PODS, {"operation": "CREATE"}, pod)) == 1, "for what it is, and for nothing else"
    if how != "a node of its choice":  # on which a pod runs, when it is changed later
        assert refused(PODS, {"operation": "UPDATE"}, pod)


def test_nobody_runs_something_in_it_and_only_nodes_ask_for_its_token() -> None:
    node = {"username": "system:node:one", "groups": ["system:nodes", "system:authenticated"]}
    scheduler = {"username": "system:serviceaccount:airflow:airflow-scheduler", "groups": ["system:serviceaccounts"]}
    pretends = {"username": "system:node:one", "groups": ["system:authenticated"]}
    for who, resource, allowed in (
        (node, "serviceaccounts", True),
        (pretends, "serviceaccounts", False),
        (scheduler, "serviceaccounts", False),
        (scheduler, "pods", False),
        (node, "pods", False),
    ):
        request = {"operation": "CREATE", "resource": {"resource": resource}, "userInfo": who}
        assert (refused(IDENTITY, request) == []) == allowed, (who, resource)


def test_they_hold_for_the_whole_namespace() -> None:
    namespace = TEMPLATE["metadata"]["namespace"]
    for binding in BINDINGS:
        assert binding["validationActions"] == ["Deny"]
        assert binding["matchResources"] == {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        }
    assert {binding["policyName"] for binding in BINDINGS} == set(POLICIES)
    covered = {
        (operation, resource)
        for policy in POLICIES.values()
        for rule in policy["matchConstraints"]["resourceRules"]
        for operation in rule["operations"]
        for resource in rule["resources"]
    }
    assert {(one, "pods") for one in ("CREATE", "UPDATE")} < covered
    assert {("CONNECT", f"pods/{one}") for one in ("exec", "attach", "portforward", "proxy")} < covered
    assert {("UPDATE", "pods/ephemeralcontainers"), ("CREATE", "serviceaccounts/token")} < covered


def test_both_workers_are_one() -> None:
    """The template and the Deployment differ in what starts them alone."""
    own = {"restartPolicy", "terminationGracePeriodSeconds", "containers"}
    ours, celery = TEMPLATE["spec"], POD
    assert {k: v for k, v in ours.items() if k not in own} == {k: v for k, v in celery.items() if k not in own}
    (task,), (worker,) = ours["containers"], celery["containers"]
    own = {"name", "command", "env"}
    assert {k: v for k, v in task.items() if k not in own} == {k: v for k, v in worker.items() if k not in own}

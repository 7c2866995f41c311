"""The traps of each platform, each a change to the pipeline of ``worlds.pipelines.GUARDED`` whose gate guards."""

# ruff: noqa: E501 - a trap is one line

from __future__ import annotations

from typing import NamedTuple

from tests.worlds.pipelines import GUARDED


class Trap(NamedTuple):
    """One change."""

    platform: str
    old: str
    new: str
    code: str
    """Why its gate does not guard; empty if it still does."""
    line: int | None = None
    """Of the reason; None if it is not looked at."""

    @property
    def text(self) -> str:
        """The changed pipeline."""
        good = GUARDED[self.platform][1]
        assert self.old in good
        return good.replace(self.old, self.new, 1)


LOST, IGNORED, BESIDE, AFTER = "gate.exit_code_lost", "gate.failure_ignored", "gate.beside", "gate.after"
EDGE, SKIP, ONCE, CACHED = "gate.weak_edge", "gate.skippable", "gate.may_not_run", "gate.cached"
UNKNOWN, NEVER, PATH = "gate.exit_code_unknown", "gate.never_runs", "gate.another_path"
NONE, INCOMPLETE = "step.unguarded", "manifest.incomplete"
GATE_RUN = "run: mlgov gate fairness --data p.csv"

TRAPS = [
    # GitHub Actions
    Trap("github", "needs: [check]", "needs: [check]\n    if: always()", EDGE, 14),
    Trap("github", "needs: [check]", "needs: [check]\n    if: ${{ !cancelled() }}", EDGE, 14),
    Trap("github", "needs: [check]", "needs: [check]\n    if: failure() || github.ref == 'x'", EDGE, 14),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        continue-on-error: true", IGNORED, 12),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        continue-on-error: ${{{{ inputs.x }}}}", "gate.failure_unknown", 12),
    Trap("github", "needs: train\n", "needs: train\n    continue-on-error: true\n", IGNORED),
    Trap("github", GATE_RUN, f"{GATE_RUN} | tee log", LOST, 13),
    Trap("github", GATE_RUN, f"{GATE_RUN} || true", LOST, 13),
    Trap("github", GATE_RUN, "run: |\n          echo\n          mlgov gate fairness &\n          wait", LOST, 15),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        shell: bash {{0}}\n", "")._replace(code="") ,
    Trap("github", "needs: [check]", "needs: [train]", BESIDE),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        if: github.ref == 'refs/heads/x'", SKIP, 12),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        if: inputs.check", SKIP, 12),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        if: false", NEVER, 12),
    Trap("github", GATE_RUN, "run: echo mlgov gate fairness", NONE),
    Trap("github", GATE_RUN, "run: bash fairness-gate.sh", NONE),
    Trap("github", GATE_RUN, "uses: house/fairness-gate@main", NONE),
    Trap("github", "needs: train\n", "needs: train\n    strategy: {matrix: {m: \"${{ fromJSON(x) }}\"}}\n", ""),
    Trap("github", GATE_RUN, f"{GATE_RUN}\n        shell: python", INCOMPLETE),
    Trap("github", "needs: [check]", "needs: [check]\n    if: always() && needs.check.result == 'success'", ""),
    Trap("github", "needs: [check]", "needs: [check]\n    if: always() && (needs.check.result == 'success' || true)", EDGE),
    Trap("github", "needs: train\n    runs-on: x", "needs: train\n    runs-on: windows-latest", INCOMPLETE),
    Trap("github", GATE_RUN, f"{GATE_RUN} --what-if", NONE),
    Trap("github", GATE_RUN, "run: mlgov gate policy --mode=warn --input .", NONE),
    Trap("github", GATE_RUN, "run: mlgov gate --help", NONE),
    # GitLab CI
    Trap("gitlab", "extends: .gate", "extends: .gate\n  rules: [!reference [.r, rules]]\n.r: {rules: [{if: $CHECK}]}", SKIP),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  rules: [!reference [.r, rules]]\n.r: {rules: [{when: always}]}", ""),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  rules: [!reference [.none, rules]]", INCOMPLETE),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  allow_failure: true", IGNORED, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  allow_failure: {exit_codes: [1]}", IGNORED, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  when: manual", IGNORED, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  rules: [{if: $CI, allow_failure: true}]", IGNORED, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  rules: [{if: $CHECK}]", SKIP, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  only: [tags]", SKIP, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  rules: [{when: never}]", NEVER, 9),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  script: [echo]", NONE),
    Trap("gitlab", "extends: .gate", "extends: .gate\n  script: [echo]\n  after_script: [mlgov gate fairness]", IGNORED),
    Trap("gitlab", "stage: release", "stage: release\n  needs: []", BESIDE),
    Trap("gitlab", "stage: release", "stage: release\n  needs: [train]", BESIDE),
    Trap("gitlab", "stage: release", "stage: check", BESIDE),
    Trap("gitlab", "stage: release", "stage: release\n  when: always", EDGE),
    Trap("gitlab", "p.csv", "p.csv || true", LOST, 5),
    Trap("gitlab", "    - mlgov gate fairness --data p.csv", "    - set +e\n    - mlgov gate fairness\n    - echo", LOST, 6),
    Trap("gitlab", "stages: [", "include: [{project: a/b, file: x.yml}]\nstages: [", INCOMPLETE),
    Trap("gitlab", "extends: .gate", "extends: .elsewhere", INCOMPLETE),
    Trap("gitlab", "script: python train.py", "trigger: {project: a/b}", INCOMPLETE),
    # Argo Workflows
    Trap("argo", "p.csv", "p.csv || true", LOST, 9),
    Trap("argo", "sh, -ec", "sh, -c", ""),
    Trap("argo", 'p.csv"]', 'p.csv; echo done"]', ""),
    Trap("argo", "depends: gate.Succeeded", "depends: gate.Succeeded || gate.Failed", EDGE),
    Trap("argo", "depends: gate.Succeeded", "depends: gate.Failed || !gate.Succeeded", EDGE),
    Trap("argo", "depends: gate.Succeeded", "depends: gate.AnySucceeded", EDGE),
    Trap("argo", "template: gate\n", 'template: gate\n            when: "{{workflow.parameters.skip}} == no"\n', ""),
    Trap("argo", "template: gate\n", "template: gate\n            continueOn: {failed: true}\n", IGNORED, 15),
    Trap("argo", "template: gate\n", "template: gate\n            withItems: []\n", ONCE, 15),
    Trap("argo", "template: gate\n", 'template: gate\n            withParam: "{{x}}"\n', ONCE, 15),
    Trap("argo", "            depends: gate.Succeeded\n", "", BESIDE),
    Trap("argo", "entrypoint: main", "entrypoint: main\n  onExit: promote", EDGE),
    Trap("argo", "    - name: gate\n      container", "    - name: gate\n      memoize: {key: a}\n      container", CACHED),
    Trap("argo", "template: gate\n", "templateRef: {name: shared, template: gate}\n", INCOMPLETE),
    Trap("argo", 'command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]', "args: [mlgov, gate, fairness]", UNKNOWN, 9),
    # Kubeflow
    Trap("kubeflow", "cachingOptions: {}", "cachingOptions: {enableCache: true}", CACHED, 5),
    Trap("kubeflow", "dependentTasks: [gate]", "dependentTasks: []", BESIDE),
    Trap(
        "kubeflow", "dependentTasks: [gate]",
        "dependentTasks: [gate]\n        triggerPolicy: {strategy: ALL_UPSTREAM_TASKS_COMPLETED}", EDGE,
    ),
    Trap(
        "kubeflow", "cachingOptions: {}",
        "triggerPolicy: {condition: \"inputs.parameter_values['skip'] == false\"}", SKIP, 5,
    ),
    Trap("kubeflow", "cachingOptions: {}", "parameterIterator: {items: {inputParameter: models}}", ONCE, 5),
    Trap("kubeflow", "p.csv", "p.csv || true", LOST),
    Trap(
        "kubeflow", "      gate:\n        componentRef: {name: comp-gate}\n        cachingOptions: {}\n",
        "      gate:\n        componentRef: {name: comp-promote}\n", NONE,
    ),
    # SageMaker
    Trap("sagemaker", '"DependsOn": ["Gate"]', '"DependsOn": ["Train"]', BESIDE),
    Trap("sagemaker", '"DependsOn": ["Train"], ', '"CacheConfig": {"Enabled": true}, ', CACHED),
    Trap("sagemaker", '"mlgov", "gate", "fairness"', '"sh", "-c", "mlgov gate fairness || true"', LOST),
    Trap("sagemaker", '"Type": "Processing"', '"Type": "QualityCheck", "FailOnViolation": false', NONE),
    Trap("sagemaker", "ContainerEntrypoint", "ContainerArguments", UNKNOWN),
    # Tekton
    Trap("tekton", "    - name: gate\n", "    - name: gate\n      onError: continue\n", IGNORED),
    Trap("tekton", "            image: a\n            script", "            image: a\n            onError: continue\n            script", IGNORED),
    Trap(
        "tekton", "    - name: gate\n",
        "    - name: gate\n      when: [{input: $(params.skip), operator: in, values: [\"no\"]}]\n", SKIP,
    ),
    Trap("tekton", "      runAfter: [gate]\n", "", BESIDE),
    Trap("tekton", "    - name: promote\n      runAfter: [gate]\n", "  finally:\n    - name: promote\n", EDGE),
    Trap("tekton", "p.csv\n", "p.csv || true\n", LOST, 13),
    Trap("tekton", "              mlgov", "              #!/bin/sh\n              mlgov", ""),
    Trap("tekton", "p.csv\n", "p.csv\n              echo done\n", ""),
    Trap("tekton", "    - name: gate\n", "    - name: gate\n      matrix: {params: [{name: m, value: []}]}\n", ONCE),
    Trap(
        "tekton", "      taskSpec:\n        steps:\n          - name: move", "      taskRef: {name: x}\n      taskSpec2:\n        steps:\n          - name: move",
        INCOMPLETE,
    ),
    # Jenkins
    Trap("jenkins", "sh 'mlgov gate", "catchError(buildResult: 'SUCCESS') { sh 'mlgov gate", "")._replace(code=""),
    Trap("jenkins", "p.csv'", "p.csv || true'", LOST, 6),
    Trap("jenkins", "p.csv'", "p.csv | tee log'", LOST, 6),
    Trap("jenkins", "sh 'mlgov gate fairness --data p.csv'", "sh(script: 'mlgov gate fairness', returnStatus: true)", LOST, 6),
    Trap("jenkins", "sh 'mlgov gate fairness --data p.csv'", "warnError('x') { sh 'mlgov gate fairness' }", IGNORED),
    Trap("jenkins", "sh 'mlgov gate fairness --data p.csv'", "// sh 'mlgov gate fairness'", NONE),
    Trap("jenkins", "sh 'mlgov gate fairness --data p.csv'", "echo '''sh 'mlgov gate fairness' '''", NONE),
    Trap("jenkins", "sh 'mlgov gate fairness --data p.csv'", "script { if (env.X) { sh 'mlgov gate fairness' } }", INCOMPLETE),
    Trap("jenkins", "sh 'mlgov gate fairness --data p.csv'", "k8sGate()", INCOMPLETE),
    Trap("jenkins", "stage('Check') {", "stage('Check') {\n      when { not { expression { params.SKIP } } }", SKIP),
    Trap("jenkins", "  }\n}\n", "  }\n  post { always { sh 'mlgov promote' } }\n}\n", EDGE),
    # Kubernetes
    Trap("kubernetes", '[mlgov, verify, "models:/credit@champion"]', '[sh, -c, "mlgov verify m || true"]', LOST),
    Trap("kubernetes", "initContainers", "containers", NONE),
    Trap("kubernetes", "        image: a\n", "        image: a\n        restartPolicy: Always\n", NONE),
    # the form of our own
    Trap("json", '"strength": "success"', '"strength": "done"', EDGE),
    Trap("json", '"exit_code": "kept"', '"exit_code": "lost"', LOST),
    Trap("json", '"exit_code": "kept"', '"why": "?"', UNKNOWN),
    Trap("json", '"id": "gate", "commands": [{"words": ["mlgov", "gate", "fairness"], "exit_code": "kept"}]', '"id": "gate", "role": "gate", "gate": "fairness"', NONE),
    Trap("json", '"name": "credit"', '"name": "credit", "complete": false', INCOMPLETE),
]  # fmt: skip

"""A pipeline for each platform in which a gate guards the step that deploys, promotes or registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_mlgov.gates.policy.gate import judge_pipelines, known_pipelines
from airflow_mlgov.gates.policy.spec import PolicySettings
from airflow_mlgov.gates.protocol import Findings

GUARDED = {
    "github": (
        ".github/workflows/release.yml",
        """\
on: push
jobs:
  train:
    runs-on: x
    steps:
      - run: python train.py
  check:
    needs: train
    runs-on: x
    steps:
      - uses: actions/checkout@v4
      - name: fairness
        run: mlgov gate fairness --data p.csv
  deploy:
    needs: [check]
    runs-on: x
    steps:
      - run: kubectl apply -f model.yaml
""",
    ),
    "gitlab": (
        ".gitlab-ci.yml",
        """\
stages: [train, check, release]
.gate:
  stage: check
  script:
    - mlgov gate fairness --data p.csv
train:
  stage: train
  script: python train.py
fairness:
  extends: .gate
deploy:
  stage: release
  script: kubectl apply -f model.yaml
""",
    ),
    "argo": (
        "workflow.yaml",
        """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: credit-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: skip, value: "no"}]}
  templates:
    - name: gate
      container: {image: a, command: [sh, -ec], args: ["mlgov gate fairness --data p.csv"]}
    - name: promote
      container: {image: a, command: [mlgov, promote]}
    - name: main
      dag:
        tasks:
          - name: gate
            template: gate
          - name: promote
            template: promote
            depends: gate.Succeeded
""",
    ),
    "kubeflow": (
        "pipeline.yaml",
        """\
pipelineInfo: {name: credit}
root:
  dag:
    tasks:
      gate:
        componentRef: {name: comp-gate}
        cachingOptions: {}
      promote:
        componentRef: {name: comp-promote}
        dependentTasks: [gate]
components:
  comp-gate: {executorLabel: exec-gate}
  comp-promote: {executorLabel: exec-promote}
deploymentSpec:
  executors:
    exec-gate: {container: {image: a, command: [sh, -ec, "mlgov gate fairness --data p.csv"]}}
    exec-promote: {container: {image: a, command: [mlgov, promote]}}
""",
    ),
    "sagemaker": (
        "pipeline.json",
        """\
{"Version": "2020-12-01", "Steps": [
  {"Name": "Train", "Type": "Training", "Arguments": {}},
  {"Name": "Gate", "Type": "Processing", "DependsOn": ["Train"], "Arguments": {"AppSpecification":
    {"ImageUri": "a", "ContainerEntrypoint": ["mlgov", "gate", "fairness"]}}},
  {"Name": "Register", "Type": "RegisterModel", "DependsOn": ["Gate"], "Arguments": {}}
]}
""",
    ),
    "tekton": (
        "pipeline.yaml",
        """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: credit}
spec:
  params: [{name: skip, default: "no"}]
  tasks:
    - name: gate
      taskSpec:
        steps:
          - name: fairness
            image: a
            script: |
              mlgov gate fairness --data p.csv
    - name: promote
      runAfter: [gate]
      taskSpec:
        steps:
          - name: move
            image: a
            command: [mlgov, promote]
""",
    ),
    "jenkins": (
        "Jenkinsfile",
        """\
pipeline {
  agent any
  stages {
    stage('Check') {
      steps {
        sh 'mlgov gate fairness --data p.csv'
      }
    }
    stage('Release') {
      steps {
        sh 'kubectl apply -f model.yaml'
      }
    }
  }
}
""",
    ),
    "kubernetes": (
        "serving.yaml",
        """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: credit}
spec:
  predictor:
    initContainers:
      - name: verify
        image: a
        command: [mlgov, verify, "models:/credit@champion"]
    model: {storageUri: "s3://models/credit"}
""",
    ),
    "json": (
        "pipeline.json",
        """\
{"manifest": "mlgov/pipeline/1", "kind": "house", "name": "credit", "steps": [
  {"id": "gate", "commands": [{"words": ["mlgov", "gate", "fairness"], "exit_code": "kept"}]},
  {"id": "promote", "commands": [{"words": ["mlgov", "promote"]}],
   "needs": [[{"step": "gate", "strength": "success"}]]}
]}
""",
    ),
}
"""Platform -> name of the file, and its text."""


def judged(said: Mapping[str, Any]) -> Findings:
    """What the policy gate finds in the pipelines that its settings name."""
    settings = PolicySettings.read(dict(said))
    return judge_pipelines(settings, known_pipelines(settings, None))

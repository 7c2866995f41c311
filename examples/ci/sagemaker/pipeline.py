"""The gates as processing steps of SageMaker Pipelines: ``python pipeline.py`` writes ``pipeline.json``. Needs
``sagemaker`` below 3.

No step has a `CacheConfig`, so that a gate judges anew each time. SageMaker asks nobody; let the policy ask, whose
`approvals` the promotion demands, signed (`mlgov approve`). Secrets come from the role and the image's entry, for what
stands in `env` can be read by whoever may describe the pipeline.
"""

import json
import os
from pathlib import Path

import boto3
from sagemaker.processing import Processor
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep

IMAGE = os.environ.get("MLGOV_IMAGE", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/mlgov-core:1")
ROLE = os.environ.get("SAGEMAKER_ROLE", "arn:aws:iam::111122223333:role/mlgov")
SETTINGS = {
    "MLGOV_POLICY": "mlgov.yaml",
    "MLGOV_TRUST_ROOT": "trust.json",
    "MLGOV_SIGN": "vault:mlgov-{duty}",
    "MLGOV_ENVIRONMENT": "production",
}
session = PipelineSession(boto_session=boto3.Session(region_name="eu-west-1"), default_bucket="models")


def command(name: str, entry: list, arguments: list, **given) -> ProcessingStep:
    """A step that runs a command; it fails with the command's exit code."""
    processor = Processor(
        role=ROLE, image_uri=IMAGE, instance_count=1, instance_type="ml.m5.large", entrypoint=entry, env=SETTINGS,
        sagemaker_session=session,
    )  # fmt: skip
    return ProcessingStep(name=name, step_args=processor.run(arguments=arguments), **given)


model = ParameterString("Model")
judged = ["--model", model, "--data", "test.csv", "--record"]
performance = command("Performance", ["mlgov", "gate", "performance"], judged)
fairness = command("Fairness", ["mlgov", "gate", "fairness"], judged)
promote = command(
    "Promote", ["mlgov", "promote"], [model, "--target", "production"], depends_on=[performance, fairness]
)
pipeline = Pipeline(
    "model-release", parameters=[model], steps=[performance, fairness, promote], sagemaker_session=session
)

if __name__ == "__main__":
    text = json.dumps(json.loads(pipeline.definition()), indent=2) + "\n"
    Path(__file__).with_name("pipeline.json").write_text(text)

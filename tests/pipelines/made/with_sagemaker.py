"""SageMaker pipelines made with its SDK: prints file name -> text, as JSON. Run where ``sagemaker`` is installed; asks
no service."""

# ruff: noqa: E402 - before the SDK is imported, it is told where it is, and to be quiet

import json
import logging
import os

logging.disable(logging.WARNING)  # some of it goes to standard output
os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none", AWS_DEFAULT_REGION="eu-west-1")

import boto3
from sagemaker.lambda_helper import Lambda
from sagemaker.processing import Processor
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionEquals
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.lambda_step import LambdaStep
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.retry import StepExceptionTypeEnum, StepRetryPolicy
from sagemaker.workflow.steps import CacheConfig, ProcessingStep

ROLE = "arn:aws:iam::111122223333:role/none"
session = PipelineSession(boto_session=boto3.Session(region_name="eu-west-1"), default_bucket="house")


def processing(name, command, **given):
    """A step that runs a command in a container."""
    processor = Processor(
        role=ROLE, image_uri="house/mlgov", instance_count=1, instance_type="ml.m5.large", entrypoint=command,
        sagemaker_session=session,
    )  # fmt: skip
    return ProcessingStep(name=name, step_args=processor.run(), **given)


GATE = ["mlgov", "gate", "fairness"]
PROMOTE = ["mlgov", "promote", "models:/credit/7"]
found = {}


def pipeline(name, steps, parameters=()):
    """Add a pipeline."""
    made = Pipeline(name=name.replace("_", "-"), steps=steps, parameters=list(parameters), sagemaker_session=session)
    found[f"sagemaker_{name}.json"] = json.dumps(json.loads(made.definition()), indent=2) + "\n"


gate = processing("Gate", GATE)
pipeline("guarded", [gate, processing("Promote", PROMOTE, depends_on=[gate])])
pipeline("beside", [processing("Gate", GATE), processing("Promote", PROMOTE)])
gate = processing("Gate", GATE, cache_config=CacheConfig(enable_caching=True, expire_after="P30D"))
pipeline("cached", [gate, processing("Promote", PROMOTE, depends_on=[gate])])
gate = processing("Gate", ["sh", "-c", "mlgov gate fairness || true"])
pipeline("lost", [gate, processing("Promote", PROMOTE, depends_on=[gate])])
retry = StepRetryPolicy(exception_types=[StepExceptionTypeEnum.SERVICE_FAULT], max_attempts=3)
gate = processing("Gate", GATE, retry_policies=[retry])
pipeline("retried", [gate, processing("Promote", PROMOTE, depends_on=[gate])])
check = ParameterString(name="Check", default_value="yes")
gate = processing("Gate", GATE)
asked = ConditionStep(
    name="Asked", conditions=[ConditionEquals(left=check, right="yes")], if_steps=[gate], else_steps=[]
)
pipeline("conditional", [asked, processing("Promote", PROMOTE, depends_on=[asked])], [check])
gate = processing("Gate", GATE)
promote = processing("Promote", PROMOTE, depends_on=[gate])
asked = ConditionStep(
    name="Asked", conditions=[ConditionEquals(left=check, right="yes")], if_steps=[gate, promote],
    else_steps=[FailStep(name="Stop", error_message="not asked")],
)  # fmt: skip
pipeline("both_conditional", [asked], [check])
called = LambdaStep(
    name="Call", lambda_func=Lambda(function_arn="arn:aws:lambda:eu-west-1:111122223333:function:f", session=session),
    inputs={},
)  # fmt: skip
gate = processing("Gate", GATE)
pipeline("between", [gate, called, processing("Promote", PROMOTE, depends_on=[called])])
print(json.dumps(found))

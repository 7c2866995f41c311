"""``mlgov init``: the first policy, suite, DAG, trust root and Vault script, from answers and data. It overwrites
nothing."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from airflow_mlgov.cli.common import say
from airflow_mlgov.cli.drafts import Answers, dag_of, learn, policy_of, settings_of, vault_script, word_of
from airflow_mlgov.cli.values import number, path
from airflow_mlgov.data.files import public_name
from airflow_mlgov.errors import AccessError, ConfigurationError, MlgovError

_ASKED = {
    "model": "name of the registered model",
    "train": "file to learn from (.csv, .parquet)",
    "test": "file held out, with the same columns",
    "label": "column of the truth",
    "positive": "its value that counts as positive",
    "function": "your function that trains, module:function in the DAGs' folder",
}
"""Option -> the question where it is not given."""


def init(
    folder: Annotated[Path, typer.Argument(parser=path, help="Folder to write into; made where it is not.")],
    model: Annotated[str | None, typer.Option("--model", help="Name of the registered model.")] = None,
    train: Annotated[str | None, typer.Option("--train", help="File to learn from, .csv or .parquet.")] = None,
    test: Annotated[str | None, typer.Option("--test", help="File held out, with the same columns.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Column of the truth, of two values.")] = None,
    positive: Annotated[str | None, typer.Option("--positive-label", help="Its value that counts as positive.")] = None,
    function: Annotated[
        str | None,
        typer.Option(
            "--function",
            help="Your own function that trains, module:function in the DAGs' folder: a table -> a fitted classifier.",
        ),
    ] = None,
    sensitive: Annotated[
        list[str] | None, typer.Option("--sensitive", help="Column of groups to be treated alike. Repeatable.")
    ] = None,
    row_id: Annotated[str | None, typer.Option("--row-id", help="Column that names a row.")] = None,
    approver: Annotated[
        list[str] | None,
        typer.Option("--approver", help="Airflow user who may approve. Repeatable; nobody if omitted."),
    ] = None,
    least: Annotated[
        float, typer.Option("--min-roc-auc", parser=number, help="ROC AUC that the model has to reach.")
    ] = 0.7,
    target: Annotated[str, typer.Option("--target", help="What the model is promoted to.")] = "production",
    environment: Annotated[str, typer.Option("--environment", help="The name that evidence is bound to.")] = "default",
    registry: Annotated[
        str | None, typer.Option("--registry", envvar="MLFLOW_TRACKING_URI", help="MLflow server.")
    ] = None,
) -> None:
    """Draft a policy, a suite, a DAG on your own training function, a trust root, and the script for Vault.

    Asks at a terminal for what no option says. Nothing that exists is overwritten.
    """
    given = {"model": model, "train": train, "test": test, "label": label, "positive": positive, "function": function}
    words = _completed(given)
    if {"/", ":"} & set(words["model"]):
        raise ConfigurationError(
            f"MLflow takes no model of the name {words['model']!r}, for it has / or : in it: name it without",
            code="policy.name",
        )
    here = folder.expanduser().resolve()
    said = Answers(
        here, words["model"], _file(words["train"]), _file(words["test"]), words["label"], words["positive"],
        tuple(sensitive or ()), row_id, words["function"], tuple(approver or ()), target, environment, least,
        registry and public_name(registry),
    )  # fmt: skip
    drafts = _drafted(said)
    _refuse_existing([*drafts, here / "trust.json", here / "signing-key.pem"])
    _check(here, drafts)
    written: list[Path] = []
    try:
        for file, text in drafts.items():
            _write(file, text)
            written.append(file)
        _make_trust(here)
    except MlgovError:
        for file in written:  # so that the same folder can be named again
            file.unlink(missing_ok=True)
        raise
    _tell(said, list(drafts))
    if registry and said.mlflow != registry:
        say("the registry's user and password are in no file: export MLFLOW_TRACKING_USERNAME and _PASSWORD")


def _completed(given: Mapping[str, str | None]) -> dict[str, str]:
    """The answers; what is missing is asked for.

    :raises ConfigurationError: something is missing, and nobody is at a terminal
    """
    missing = [name for name, value in given.items() if not value]
    if missing and not sys.stdin.isatty():
        flags = ", ".join("--positive-label" if name == "positive" else f"--{name}" for name in missing)
        raise ConfigurationError(f"nobody is at a terminal to be asked: pass {flags}", code="option.missing")
    return {name: value or str(typer.prompt(_ASKED[name], err=True)) for name, value in given.items()}


def _file(said: str) -> Path:
    found = Path(said).expanduser().resolve()
    if not found.is_file():
        raise ConfigurationError(f"no such file: {said}", code="file.missing")
    return found


def _drafted(said: Answers) -> dict[Path, str]:
    """File -> what is to stand in it."""
    from airflow_mlgov.gates.data_validation.propose import propose_suite

    known = learn(said)
    dags = said.folder / "dags"
    suite = propose_suite(str(said.train), name=word_of(said.model))
    return {
        dags / "include" / "mlgov.yaml": policy_of(said, known),
        dags / "include" / "suite.json": json.dumps(suite, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        dags / f"{word_of(said.model)}_training.py": dag_of(said, known),
        said.folder / "mlgov.env": settings_of(said),
        said.folder / "vault.sh": vault_script(),
    }


def _refuse_existing(wanted: list[Path]) -> None:
    there = [str(file) for file in wanted if file.exists() or file.is_symlink()]
    if there:
        raise ConfigurationError(
            f"nothing was written, for somebody may have edited what is there: {', '.join(there)}; name another folder",
            code="file.exists",
        )


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as stream:
            stream.write(text)
        file.chmod(0o755 if file.suffix == ".sh" else 0o644)
    except PermissionError:
        raise AccessError(f"may not write {file}: permission denied", code="file.refused") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror or error}", code="file.not_writable") from None


def _make_trust(folder: Path) -> None:
    """A key file for the first try, and the trust root that has it for every duty."""
    from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer

    key = open_signer(f"local:{folder / 'signing-key.pem'}", make_key=True).public_key
    TrustRoot().with_key(key, duties()).save(folder / "trust.json")


def _check(folder: Path, drafts: Mapping[Path, str]) -> None:
    """What was drafted holds; told before anything of it is there."""
    from airflow_mlgov.governance.policy import load_policy

    include = folder / "dags" / "include"
    with TemporaryDirectory(prefix="mlgov-init-") as apart:
        for file, text in drafts.items():
            if file.parent == include:
                (Path(apart) / file.name).write_text(text, encoding="utf-8")
        try:
            load_policy(Path(apart) / "mlgov.yaml")
        except ConfigurationError as error:
            error.args = (f"nothing was written: {str(error).replace(apart, str(include))}",)
            raise


def _tell(said: Answers, made: list[Path]) -> None:
    here, (module, _, function) = said.folder, said.function.partition(":")
    code = here / "dags" / f"{module.replace('.', '/')}.py"
    dag = f"{word_of(said.model)}_training"
    lines: list[Any] = [
        f"in {here}:",
        *(f"  {file.relative_to(here)}" for file in made),
        "  trust.json, signing-key.pem   a key file for the first try: vault.sh moves every duty to Vault or OpenBao",
        "",
        "next:",
        "  1. read dags/include/suite.json and mlgov.yaml line by line; after an edit: mlgov policy check FILE",
    ]
    if not code.exists():
        lines.append(f"  2. put your function into {code}: def {function}(table) -> a fitted classifier")
    lines += [
        f"  3. cd {shlex.quote(str(here))} && set -a && . ./mlgov.env && "
        "export AIRFLOW__CORE__DAGS_FOLDER=$PWD/dags && set +a",
        *([] if said.mlflow else ["     export MLFLOW_TRACKING_URI=…, with _USERNAME and _PASSWORD where MLflow asks"]),
        f"  4. airflow db migrate && airflow dags test {dag}"
        if not said.approvers
        else f"  4. airflow standalone, trigger {dag}, and have {' or '.join(said.approvers)} approve it there",
        f"  5. mlgov verify {shlex.quote(f'models:/{said.model}@champion')}",
        "  6. in a team: ./vault.sh, and `mlgov doctor`",
    ]
    say(*lines)

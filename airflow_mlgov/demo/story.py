"""Plays the governed release end to end and checks each scene against MLflow and the signed ledger, never by the colour
of a task. Needs no Docker and no account; leaves no process behind."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import requests

from airflow_mlgov.demo.airflow_api import WAITING, AirflowUser, Run
from airflow_mlgov.demo.servers import http_session
from airflow_mlgov.demo.world import ENVIRONMENT, MODEL, World, build, prepare_directory
from airflow_mlgov.errors import DependencyError, MlgovError

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_mlgov.evidence.verification import Evidence
    from airflow_mlgov.release.explanation import Explanation
    from airflow_mlgov.results import Check

DAG_ID = "credit_risk_retraining"


@dataclass
class SceneResult:
    """One scene: what had to come out of it, and what did."""

    title: str
    expected: str
    facts: list[tuple[str, bool]] = field(default_factory=list)
    """What was looked at, and whether it is as it should be."""
    where: str = ""

    @property
    def ok(self) -> bool:
        """Something was looked at, and all of it is as it should be."""
        return bool(self.facts) and all(held for _, held in self.facts)

    def check(self, what: str, held: bool) -> None:
        """Note one fact."""
        self.facts.append((what, held))


@dataclass
class Story:
    """The running demo: its world, its people, and what is told about it."""

    world: World
    console: Console
    results: list[SceneResult] = field(default_factory=list)
    refused: Run | None = None
    """The run of scene 3, which scene 4 tampers with."""
    champion: str = ""
    """The version that scene 1 brought into production."""

    @cached_property
    def alice(self) -> AirflowUser:
        """Operates the pipeline."""
        return AirflowUser(self.world.airflow, "alice")

    @cached_property
    def olga(self) -> AirflowUser:
        """The risk officer."""
        return AirflowUser(self.world.airflow, "olga")

    def say(self, text: str) -> None:
        """One line of the story."""
        from rich.markup import escape

        self.console.print(f"  [dim]·[/dim] {escape(text)}", highlight=False)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A spinner for what takes a while."""
        with self.console.status(text):
            yield

    # What the registry says, asked as the auditor, who may only read.

    def registry(self, path: str, **parameters: str) -> dict[str, Any] | None:
        """One GET of MLflow's REST API; None if there is no such thing.

        :raises DependencyError: MLflow answers with an error
        """
        http = http_session()
        http.auth = ("auditor", self.world.accounts["auditor"])
        answer = http.get(f"{self.world.mlflow.url}/api/2.0/mlflow/{path}", params=parameters, timeout=60)
        if answer.status_code == 404:
            return None
        if not answer.ok:
            raise DependencyError(
                f"MLflow would not show {path}: {answer.status_code} {answer.text[:300]}", code="demo.mlflow_refused"
            )
        return dict(answer.json())

    def champion_version(self) -> str | None:
        """The version that ``@champion`` points at, None where nothing does."""
        found = self.registry("registered-models/get", name=MODEL)
        aliases = (found or {}).get("registered_model", {}).get("aliases") or ()
        return next((str(item["version"]) for item in aliases if item["alias"] == "champion"), None)

    def version(self, number: str) -> dict[str, Any]:
        """One version as MLflow has it, tags as a mapping; empty if there is none."""
        found = self.registry("model-versions/get", name=MODEL, version=number)
        if found is None:
            return {}
        version = dict(found["model_version"])
        version["tags"] = {tag["key"]: tag["value"] for tag in version.get("tags", ())}
        return version

    def version_count(self) -> int:
        """How many versions of the model are registered."""
        found = self.registry("model-versions/search", filter=f"name='{MODEL}'")
        return len((found or {}).get("model_versions") or ())

    # What the ledger says, and only what verifies against the pinned keys.

    def evidence(self, run: Run, **wanted: str) -> list[Evidence]:
        """Verified evidence that a run left, of a kind and gate where given."""
        from airflow_mlgov.evidence.ledger import open_ledger
        from airflow_mlgov.evidence.signing import TrustRoot
        from airflow_mlgov.evidence.verification import verify_entry

        trust = TrustRoot.load(self.world.trust_root)
        found = [verify_entry(entry, trust) for entry in open_ledger(self.world.ledger).entries()]
        mine = [item for item in found if item.statement.context.run.get("run_id") == run.run_id]
        return [item for item in mine if all(getattr(item, name) == value for name, value in wanted.items())]

    def verdict(self, run: Run, gate: str) -> str:
        """The newest verdict of a gate in a run, ``none`` if it left no evidence."""
        from airflow_mlgov.evidence.statements import GateStatement
        from airflow_mlgov.evidence.verification import only

        found = only(self.evidence(run, gate=gate), GateStatement)
        return str(found[-1].statement.verdict) if found else "none"

    def link(self, run: Run, task: str | None = None) -> str:
        """Where to look in Airflow."""
        from urllib.parse import quote

        from airflow_mlgov.notifications import task_link

        base = self.world.airflow.url
        if task:
            return task_link(base, dag_id=run.dag_id, run_id=run.run_id, task_id=task)
        return f"{base}/dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}"


def scene_release(story: Story, result: SceneResult) -> None:
    """A healthy candidate goes through every gate and is approved by the risk officer."""
    run = story.alice.trigger(DAG_ID, {"candidate": "healthy"})
    result.where = story.link(run)
    story.say("alice triggers the retraining DAG; it validates the data, trains, registers, judges")
    with story.waiting("gates are running"):
        state = run.wait_for_task("approve", {WAITING})
    if state != WAITING:
        raise MlgovError(f"the approval never asked: {_trouble(run)}", code="demo.scene_failed")
    for gate in ("data_validation", "performance", "fairness"):
        verdict = story.verdict(run, gate)
        story.say(f"gate {gate}: {verdict}{_numbers(story.evidence(run, kind='gate', gate=gate))}")
        result.check(f"{gate} {verdict}", verdict == "PASS")
    result.check("no champion before the approval", story.champion_version() is None)
    run.wait_for_question("approve", after_try=0)
    status = story.alice.answer_approval(run, "approve", approve=True, reason="it is my own run, what could go wrong")
    story.say(f"alice tries to approve her own run: Airflow answers {status}")
    result.check("alice may not approve", status == 403)
    _approve_until_taken(story, run)
    story.champion = story.champion_version() or ""
    stage = story.version(story.champion).get("current_stage") if story.champion else None
    story.say(f"MLflow: @champion is version {story.champion or 'nobody'}, stage {stage}")
    result.check(f"@champion is version {story.champion or 'nobody'}", story.champion == "1")
    result.check(f"stage {stage}", stage == "Production")
    result.check("a signed promotion is in the ledger", len(story.evidence(run, kind="promotion")) == 1)
    if not result.ok:
        raise MlgovError(f"the release did not go through: {_trouble(run)}", code="demo.scene_failed")


def _approve_until_taken(story: Story, run: Run) -> None:
    """Olga approves: again, where Airflow has lost her answer and the next try asks (apache/airflow 67287)."""
    asks = True
    while asks:
        answered = run.tries("approve")
        status = story.olga.answer_approval(
            run, "approve", approve=True, reason="gates pass, impact on applicants reviewed"
        )
        story.say(f"olga, the risk officer, approves with a reason: Airflow answers {status}")
        with story.waiting("promoting"):
            asks = run.wait_for_question("approve", after_try=answered)


def scene_broken_data(story: Story, result: SceneResult) -> None:
    """Applicants with 300 dependants and decisions that are null never reach the training."""
    before = story.version_count()
    run = story.alice.trigger(DAG_ID, {"candidate": "healthy", "train": str(story.world.data.broken)})
    result.where = story.link(run, "validate_data")
    story.say(f"alice triggers with {story.world.data.broken.name}: 300 dependants, null decisions")
    with story.waiting("the data gate is running"):
        tasks = run.wait()
    verdict = story.verdict(run, "data_validation")
    for line in _failed_checks(story.evidence(run, kind="gate", gate="data_validation")):
        story.say(f"data gate: {line}")
    result.check(f"data_validation {verdict}", verdict == "FAIL")
    result.check(f"train: {tasks.get('train')}", tasks.get("train") == "upstream_failed")
    result.check("no version was registered", story.version_count() == before)
    result.check(f"@champion still version {story.champion_version()}", story.champion_version() == story.champion)


def scene_biased_model(story: Story, result: SceneResult) -> None:
    """A candidate that ranks as well as the champion, and treats applicants unequally."""
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.notifications.words import render_gate_failed
    from airflow_mlgov.results import GateResult, Subject

    run = story.refused = story.alice.trigger(DAG_ID, {"candidate": "biased"})
    result.where = story.link(run, "fairness")
    story.say("alice triggers with a candidate that was given the race column and a cut-off of 0.8 'to be safe'")
    with story.waiting("gates are running"):
        run.wait()
    performance, fairness = story.verdict(run, "performance"), story.verdict(run, "fairness")
    for gate, verdict in (("performance", performance), ("fairness", fairness)):
        story.say(f"gate {gate}: {verdict}{_numbers(story.evidence(run, kind='gate', gate=gate))}")
    result.check(f"performance {performance}", performance == "PASS")
    result.check(f"fairness {fairness}", fairness == "FAIL")
    tags = story.version("2").get("tags", {})
    story.say(f"MLflow version 2 is tagged: mlgov.status = {tags.get('mlgov.status')!r}")
    result.check(f"version 2 tagged mlgov.fairness={tags.get('mlgov.fairness')}", tags.get("mlgov.fairness") == "FAIL")
    result.check(f"@champion still version {story.champion_version()}", story.champion_version() == story.champion)
    found = story.evidence(run, kind="gate", gate="fairness")
    if not found:
        raise MlgovError(f"the fairness gate left no evidence: {_trouble(run)}", code="demo.scene_failed")
    evidence = found[-1]
    judged = GateResult(
        "fairness",
        Subject("model", MODEL, evidence.digest, version="2"),
        _checks_of([evidence]),
    )
    owners = load_policy(story.world.policy).model(MODEL).owners
    title, body = render_gate_failed(judged, owners=owners, evidence=evidence.reference, link=result.where)
    _show_mail(story.console, title, body)
    in_log = "ml-engineering@bank.example" in run.log("fairness")
    result.check("the owners' notification was rendered", in_log)


def scene_walk_around(story: Story, result: SceneResult) -> None:
    """The operator paints the failed gate green; the promotion runs, and asks the ledger instead."""
    run = story.refused
    if run is None:
        raise MlgovError("scene 3 left no refused run to tamper with", code="demo.scene_failed")
    result.where = story.link(run, "promote")
    story.alice.mark_success(run, "fairness")
    story.say("alice marks the failed fairness gate as success: Airflow obeys, and runs what comes after")
    with story.waiting("the approval looks at the ledger"):
        state = run.wait_for_task("approve", {"failed", "success", WAITING}, until_run_ends=False)
        run.wait()
    story.say(f"the approval is {state}: there is nothing to approve; so alice marks it as success too")
    story.alice.mark_success(run, "approve")
    with story.waiting("the promotion looks at the ledger"):
        run.wait_for_task("promote", {"failed", "success"}, until_run_ends=False)
    tasks = run.tasks()
    story.say(f"in Airflow: fairness {tasks['fairness']}, approve {tasks['approve']}, promote {tasks['promote']}")
    result.check("the gate is green in Airflow", tasks["fairness"] == "success")
    from airflow_mlgov.evidence.statements import DecisionStatement
    from airflow_mlgov.evidence.verification import only

    decisions = story.evidence(run, kind="decision")
    refused = [item for item in only(decisions, DecisionStatement) if not item.statement.allowed]
    log = run.log("promote")
    reasons = [line.strip("- ") for line in log.splitlines() if line.startswith("  - ")]
    for reason in dict.fromkeys(reasons):
        story.say(f"promotion refused: {reason}")
    result.check("a signed refusal is in the ledger", len(refused) == 1 and len(decisions) == 1)
    result.check("the refusal names the fairness gate", any("fairness" in reason for reason in reasons))
    result.check("and the missing approval", any("approval" in reason for reason in reasons))
    result.check(f"@champion still version {story.champion_version()}", story.champion_version() == story.champion)
    stage = story.version("2").get("current_stage")
    result.check(f"version 2 in stage {stage}", stage == "None")


def scene_verify(story: Story, result: SceneResult) -> None:
    """Why may the champion serve? Answered from the artifact's bytes, the ledger and the public keys alone."""
    result.where = (
        f"mlgov verify models:/{MODEL}@champion --ledger {story.world.ledger} --trust {story.world.trust_root}"
    )
    answer = verify_model(story, f"models:/{MODEL}@champion")
    for fact in answer.facts:
        story.say(fact)
    for code, reason in answer.reasons:
        story.say(f"{code}: {reason}")
    result.check(f"@champion: {'may serve' if answer.allowed else 'may not serve'}", answer.allowed)
    other = verify_model(story, f"models:/{MODEL}/2")
    story.say(f"version 2, for comparison: {'; '.join(f'{code}: {text}' for code, text in other.reasons)}")
    result.check(f"version 2: {'may serve' if other.allowed else 'may not serve'}", not other.allowed)


def verify_model(story: Story, reference: str) -> Explanation:
    """What ``mlgov verify`` does, as the auditor, who holds no key and asks neither Airflow nor OpenBao."""
    from airflow_mlgov.evidence.ledger import open_ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.release.explanation import explain

    world = story.world
    registry = MlflowRegistry(world.mlflow.url, username="auditor", password=world.accounts["auditor"])
    return explain(
        registry,
        registry.resolve(reference),
        open_ledger(world.ledger),
        TrustRoot.load(world.trust_root),
        policy=load_policy(world.policy),
        environment=ENVIRONMENT,
    )


SCENES: tuple[tuple[str, str, Callable[[Story, SceneResult], None]], ...] = (
    ("1 healthy candidate", "gates pass, olga approves, Production and @champion", scene_release),
    ("2 broken data", "the data gate stops the run before training", scene_broken_data),
    ("3 biased candidate", "fairness fails, version tagged, nothing promoted", scene_biased_model),
    ("4 gate marked as success", "the promotion runs and refuses, with reasons", scene_walk_around),
    ("5 verify, offline", "the champion may serve, version 2 may not", scene_verify),
)


def run_demo(work_dir: Path | None = None, keep: bool = False, console: Console | None = None) -> int:
    """Set everything up, play the five scenes, show what happened; 0 only if each ended as it should.

    :param work_dir: an empty or new folder for ledger, logs and data; if omitted, a temporary one
    :param keep: leave the servers up afterwards, show URLs and log-ins, and wait for Ctrl-C
    :raises ConfigurationError: ``work_dir`` is not empty
    :raises DependencyError: a server did not come up
    """
    from rich.console import Console

    console = console or Console()
    started = time.monotonic()
    directory = prepare_directory(work_dir or Path(tempfile.mkdtemp(prefix="mlgov-demo-")))
    with _quiet_libraries(), _stopped_by_signals(), ExitStack() as stack:
        console.rule("[bold]A governed release")
        console.print(f"  everything is kept in {directory}", highlight=False)
        with console.status("starting OpenBao, MLflow and Airflow (about a minute)"):
            world = build(directory, stack, lambda text: console.print(f"  [green]✓[/green] {text}", highlight=False))
            story = Story(world, console)
            story.alice.wait_for_dag(DAG_ID)
        _play(story)
        _show_table(story, time.monotonic() - started)
        if keep:
            _keep(story)
    return 0 if all(result.ok for result in story.results) else 1


def _play(story: Story) -> None:
    for title, expected, scene in SCENES:
        story.console.rule(f"[bold]{title}", align="left")
        result = SceneResult(title, expected)
        story.results.append(result)
        try:
            scene(story, result)
        except (MlgovError, requests.RequestException) as error:
            result.check(str(error), False)
            story.console.print(f"  ✗ {error}", style="red", markup=False, highlight=False)
        if not result.ok and scene is scene_release:
            break  # every later scene stands on this one


def _show_table(story: Story, seconds: float) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="What happened", show_lines=True, expand=True)
    for name, ratio in (("scene", 2), ("expected", 3), ("seen", 5)):
        table.add_column(name, ratio=ratio)
    for result in story.results:
        seen = Text("\n").join(
            Text(("✓ " if held else "✗ ") + what, style="green" if held else "red") for what, held in result.facts
        )
        table.add_row(Text(("✓ " if result.ok else "✗ ") + result.title), result.expected, seen)
    for title, expected, _ in SCENES[len(story.results) :]:
        table.add_row(Text("✗ " + title), expected, Text("not played", style="red"))
    story.console.print(table)
    story.console.print("[bold]Where to look[/bold]")
    for result in story.results:
        story.console.print(f"  {result.title}: {result.where}", highlight=False, soft_wrap=True)
    folder = story.world.directory
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
    story.console.print(
        f"  ledger {folder}/ledger.db, trust root {folder}/trust.json, policy {story.world.policy}, logs "
        f"{folder}/**/*.log\n  {seconds:.0f} s, {size:.0f} MB in {folder}",
        highlight=False,
        soft_wrap=True,
    )


def _keep(story: Story) -> None:
    world = story.world
    story.console.rule("[bold]Everything is still up; Ctrl-C ends it")
    lines = [f"Airflow {world.airflow.url}"]
    lines += [f"    {name} / {password}" for name, password in world.airflow.passwords.items()]
    lines += [f"MLflow  {world.mlflow.url}", f"    {world.mlflow.admin_username} / {world.mlflow.admin_password}"]
    lines += [f"    auditor / {world.accounts['auditor']}"]
    lines += [f"OpenBao {world.openbao.url}", f"    root token {world.openbao.root_token}"]
    for line in lines:
        story.console.print(f"  {line}", highlight=False, markup=False)
    try:
        while world.airflow.process.running:
            time.sleep(1)
    except KeyboardInterrupt:
        story.console.print("  ending the servers", highlight=False)


def _numbers(found: list[Evidence]) -> str:
    """The measured values of the critical checks, in brackets; only how many there are where nothing is measured."""
    checks = [check for check in _checks_of(found[-1:]) if check.severity == "critical"]
    passed = sum(check.outcome == "PASS" for check in checks)
    measured = [check for check in checks if not isinstance(check.bound, str | None) and check.observed is not None]
    texts = [f"{check.name} {check.observed:.2f}" for check in measured]
    return f" ({', '.join(texts) or f'{passed} of {len(checks)} critical checks'})" if checks else ""


def _failed_checks(found: list[Evidence]) -> list[str]:
    return [str(check) for check in _checks_of(found) if check.outcome != "PASS"]


def _checks_of(found: list[Evidence]) -> tuple[Check, ...]:
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.evidence.verification import only

    return tuple(check for item in only(found, GateStatement) for check in item.statement.result.checks)


def _trouble(run: Run) -> str:
    """The states of a run's tasks, and the end of the log of the ones that failed."""
    tasks = run.tasks()
    parts = [", ".join(f"{name} {state}" for name, state in tasks.items())]
    for name, state in tasks.items():
        if state in ("failed", "up_for_retry"):
            parts.append(f"{name}:\n" + "\n".join(run.log(name).splitlines()[-12:]))
    return "\n".join(parts)


def _show_mail(console: Console, title: str, body: str) -> None:
    from rich.panel import Panel
    from rich.text import Text

    console.print(Panel(Text(body.strip()), title=Text(title), title_align="left"))


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Turn SIGTERM into an ordinary unwinding, so that the servers are ended, and heed Ctrl-C even if a shell has
    started us in the background with SIGINT ignored. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    handlers = {signal.SIGTERM: unwind, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep MLflow's chatter out of the story."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

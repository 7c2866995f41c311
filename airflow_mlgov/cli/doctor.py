"""``mlgov doctor``: connections, keys, trust root, policy, engine, versions: what is wrong, and how to mend it.

Reads what ``[mlgov]`` of airflow.cfg says and tries it as a task would, or, where Airflow is not installed, what the
commands are told and as they would; signs nothing and makes no key.
"""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import typer

from airflow_mlgov.cli.common import AsJson, print_json, say
from airflow_mlgov.cli.connections import all_connections
from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError, MlgovError
from airflow_mlgov.extras import CORE, PROVIDER

if TYPE_CHECKING:
    from airflow_mlgov.cli.alone import Alone
    from airflow_mlgov.duty import Duty
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.governance.policy import ModelPolicy, Target
    from airflow_mlgov.rego.protocol import PolicyEngine

log = logging.getLogger(__name__)

_LIBRARIES = (CORE, "apache-airflow", "mlflow", "great-expectations", "fairlearn", "gordon-to-regorus")
_PARTS_OF_MLFLOW = ("mlflow-skinny", "mlflow-tracing")
_SOON = timedelta(days=30)
_MENDS: dict[type[Exception], str] = {
    DependencyError: "bring it up, or correct its address",
    AccessError: "grant this identity access, or correct its credentials",
    EvidenceError: "stop releasing, find out who changed it, and hold it against a checkpoint that was kept elsewhere",
}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    area: str
    level: Literal["ok", "warning", "problem"]
    message: str
    mend: str = ""
    """What to do about it; empty if it is fine, or if the message says it."""
    unreachable: bool = False
    """Whether it is a dependency that is down or refuses, and not what is configured."""
    code: str = ""
    """Of the error that was found; see docs/codes.md. Empty if the examination itself has found it."""


def doctor(as_json: AsJson = False) -> None:
    """Say what is wrong with the set-up and how to mend it.

    Exit code 0: nothing worse than a warning; 2: a problem; 4: all problems are dependencies that cannot be reached.
    """
    with redirect_stdout(sys.stderr):  # Airflow logs to stdout
        findings = examine()
    problems, warnings = (sum(item.level == level for item in findings) for level in ("problem", "warning"))
    if as_json:
        print_json({"problems": problems, "warnings": warnings, "findings": [asdict(item) for item in findings]})
    else:
        for item in findings:
            code = f" [{item.code}]" if item.code else ""
            say(f"{item.level:8} {item.area}: {item.message}{code}")
            if item.mend:
                say(f"{'':8} mend: {item.mend}")
        say(f"{problems} problem(s), {warnings} warning(s)")
    raise typer.Exit(exit_code(findings))


def exit_code(findings: Iterable[Finding]) -> int:
    """0 for nothing worse than a warning, 4 if all problems are dependencies out of reach, else 2."""
    problems = [item for item in findings if item.level == "problem"]
    if not problems:
        return 0
    return 4 if all(item.unreachable for item in problems) else 2


def examine() -> list[Finding]:
    """Everything that was found, area by area; whatever goes wrong in one is a finding and hides no other."""
    if find_spec("airflow_mlgov.duty") is None:
        return _examined_alone()
    from airflow_mlgov.duty import Duty

    areas: dict[str, Callable[[Duty], Iterator[Finding]]] = {
        "versions": _versions,
        "policy": _policy,
        "engine": _engine,
        "trust root": _trust_root,
        "signing": _signing,
        "identity": _identity,
        "ledger": _ledger,
        "mlflow": _mlflow,
        "airflow": _airflow,
    }
    with all_connections():
        return [replace(item, area=area) for area, look in areas.items() for item in _examined(look(Duty("promotion")))]


def _examined_alone() -> list[Finding]:
    """The same where Airflow's half is not installed."""
    from airflow_mlgov.cli.alone import Alone

    areas: dict[str, Callable[[Any], Iterator[Finding]]] = {
        "versions": _versions,
        "policy": _policy,
        "engine": _engine,
        "trust root": _trust_root_alone,
        "signing": _signing_alone,
        "ledger": _ledger_alone,
        "mlflow": _mlflow_alone,
    }
    here = Alone("promotion")
    found = [replace(item, area=area) for area, look in areas.items() for item in _examined(look(here))]
    return [replace(item, level="warning") if item.code == "option.missing" else item for item in found]


def _examined(looked: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from looked
    except Exception as error:
        yield _failed(error)


def _ok(message: str) -> Finding:
    return Finding("", "ok", message)


def _warning(message: str, mend: str) -> Finding:
    return Finding("", "warning", message, mend)


def _problem(message: str, mend: str) -> Finding:
    return Finding("", "problem", message, mend)


def _failed(error: Exception, about: str = "") -> Finding:
    """An error as a finding. Only texts that are known to hold no secret are quoted."""
    if isinstance(error, MlgovError):
        mend = next((text for kind, text in _MENDS.items() if isinstance(error, kind)), "")
        unreachable = isinstance(error, DependencyError | AccessError)
        return replace(_problem(f"{about}{error}", mend), unreachable=unreachable, code=error.code)
    if isinstance(error, OSError) and error.filename:
        return _problem(
            f"{about}cannot read {error.filename}: {error.strerror}", "run mlgov doctor where the tasks run"
        )
    log.debug("mlgov doctor was stopped", exc_info=error)
    return _problem(
        f"{about}an unexpected {type(error).__name__} stopped the examination",
        "AIRFLOW__LOGGING__LOGGING_LEVEL=DEBUG shows where",
    )


def _if_it_holds(load: Callable[[], _T]) -> _T | None:
    """What is loaded, or None: why it does not hold is for its own area to say."""
    try:
        return load()
    except MlgovError:
        return None


def _models(governance: Duty | Alone) -> list[ModelPolicy]:
    policy = _if_it_holds(lambda: governance.policy)
    return list(policy.models.values()) if policy else []


def _duties(governance: Duty | Alone) -> list[str]:
    """The duties that somebody has to sign for under this policy."""
    from airflow_mlgov.evidence.signing import duties

    targets = [target for model in _models(governance) for target in model.targets.values()]
    needed = {"registration", "promotion", "reconcile"}.union(*(target.requires for target in targets))
    if any(target.approvals for target in targets):
        needed.add("approval")
    if any(target.waivers or target.break_glass for target in targets):
        needed |= {"waiver", "audit"}
    return [duty for duty in duties() if duty in needed]


# -- versions ----------------------------------------------------------------------------------------------------------


def _versions(_: Duty) -> Iterator[Finding]:
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    ours = [name for name in (CORE, PROVIDER) if _installed(name)]
    parsed = [Requirement(text) for name in ours for text in requires(name) or ()]
    wanted = {item.name: item.specifier for item in parsed}
    base = {item.name for item in parsed if item.marker is None}
    found = {name: _installed(name) for name in (*_LIBRARIES, *_PARTS_OF_MLFLOW)}
    for name in _LIBRARIES:
        version = found[name]
        if name in base if version is None else name in wanted and not wanted[name].contains(version, prereleases=True):
            message = f"{name} is {version or 'not installed'}, and this package needs {wanted[name]}"
            yield _problem(message, f"pip install '{name}{wanted[name]}'")
    for part in _PARTS_OF_MLFLOW:
        if found["mlflow"] and found[part] and found[part] != found["mlflow"]:
            yield _problem(
                f"{part} {found[part]} does not belong to mlflow {found['mlflow']}: one was installed over the other",
                "pip install " + " ".join(f"{name}=={found['mlflow']}" for name in ("mlflow", *_PARTS_OF_MLFLOW)),
            )
    seen = [f"{name} {found[name]}" for name in _LIBRARIES if found[name]]
    yield _ok(", ".join([f"python {platform.python_version()}", *seen]))


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


# -- policy ------------------------------------------------------------------------------------------------------------


def _policy(governance: Duty | Alone) -> Iterator[Finding]:
    policy = governance.policy
    if policy is None:
        yield _warning(
            "there is no governance policy: gates go by their operators' own bounds, and nothing can be promoted",
            "write mlgov.yaml, and set [mlgov] policy (or MLGOV_POLICY) to its path",
        )
        return
    for model in policy.models.values():
        for target in model.targets.values():
            yield from _examined(_target(model, target))
        yield from _examined(_rules(governance, model))
    yield _ok(f"{policy.path} governs {', '.join(policy.models)}")


def _target(model: ModelPolicy, target: Target) -> Iterator[Finding]:
    from airflow_mlgov import catalogue

    what = f"{model.where('targets', target.name)}: {model.name} to {target.name}"
    for gate in target.requires:
        if gate in model.external:
            continue
        if not (model.bounds(gate) if catalogue.load(gate).metrics else model.gates.get(gate)):
            yield _warning(
                f"{what} requires the gate {gate}, but not what it is held to: each DAG may choose",
                f"say it under `gates: {gate}:` of {model.name}",
            )
    if target.approvals > len(target.approvers) and not target.roles:
        yield _problem(
            f"{what} needs {target.approvals} approvals, and {len(target.approvers)} people may give one "
            f"({', '.join(sorted(target.approvers)) or 'nobody'})",
            "name more people in `approvals.from` or its groups, or lower `approvals.count`",
        )


def _rules(governance: Duty | Alone, model: ModelPolicy) -> Iterator[Finding]:
    """Decide on a made-up first version of a model without evidence: the answer is no, for reasons that say so. An
    error of the engine instead is what a real first version would get too."""
    policy = governance.required_policy()
    for target, why in _engine_errors(governance, model):
        yield _problem(
            f"the decision on a first version of {model.name} to {target} fails: {why}",
            f"mend {', '.join(policy.rules) or 'the installation of gordon-to-regorus'}: whatever is "
            "decided so is refused",
        )
        return


def _engine_errors(
    governance: Duty | Alone, model: ModelPolicy, engine: PolicyEngine | None = None
) -> Iterator[tuple[str, str]]:
    """Target and why, where an engine does not come to a decision."""
    from airflow_mlgov.governance.decision import Request, decide
    from airflow_mlgov.results import Subject

    policy = governance.required_policy()
    made_up = Subject("model", model.name, "0" * 64, version="1", registry="https://mlflow.invalid")
    for target in model.targets:
        answer = decide(Request(made_up, target, governance.environment), policy, evidence=[], engine=engine)
        yield from ((target, message) for code, message in answer.reasons if code == "engine.error")


# -- engine of rules ---------------------------------------------------------------------------------------------------


def _engine(governance: Duty | Alone) -> Iterator[Finding]:
    """Which engine evaluates, whether it can be reached, holds the rules, and says what the embedded one says."""
    from airflow_mlgov.governance.decision import SHIPPED
    from airflow_mlgov.governance.reasons import shipped_rules
    from airflow_mlgov.rego.decision_log import Logged
    from airflow_mlgov.rego.protocol import Bundle
    from airflow_mlgov.rego.server import OpaServer

    engine = governance.engine
    engine = engine.engine if isinstance(engine, Logged) else engine  # an examination is no decision to be logged
    rules = Bundle({SHIPPED: shipped_rules()})
    said = engine.name
    if isinstance(engine, OpaServer):
        version = engine.ping()
        said += f", version {version}" if version else ""
        holds = engine.check(rules)
        said += " holds the rules of promotion" if holds else " is given the rules when they are first asked"
    [excusable] = engine.evaluate(rules, ["data.mlgov.promotion.excusable"], {})
    yield _ok(f"{said}, and answers as the embedded engine does ({len(excusable)} words of a probe)")
    yield from _decided_by(engine, governance)


def _decided_by(engine: PolicyEngine, governance: Duty | Alone) -> Iterator[Finding]:
    """A decision as a task asks for it, one for each model; what the embedded engine cannot is the policy's to say."""
    from airflow_mlgov.rego.embedded import EmbeddedEngine

    for model in [] if isinstance(engine, EmbeddedEngine) else _models(governance):
        for target, why in _engine_errors(governance, model, engine):
            yield _problem(
                f"the decision on a first version of {model.name} to {target} fails with {engine.name}: {why}",
                "mend the server, or what it holds: whatever is decided so is refused",
            )
            return


# -- trust root --------------------------------------------------------------------------------------------------------


def _trust_root(governance: Duty) -> Iterator[Finding]:
    from airflow_mlgov.configuration import home, option

    if not option("trust_root") and not option("sign") and not (home() / "trust.json").exists():
        yield _warning(
            "there is no trust root yet: the first signature makes one that trusts its local key for everything",
            "for a team, make one with `mlgov trust add`, and set [mlgov] trust_root to its path",
        )
        return
    yield from _keys(governance)


def _trust_root_alone(here: Alone) -> Iterator[Finding]:
    yield from _keys(here)


def _keys(governance: Duty | Alone) -> Iterator[Finding]:
    trust = governance.trust
    for duty in _duties(governance):
        yield from _keys_of(duty, trust)
    yield from _shared_keys(trust)
    yield _ok(f"{trust.source} has {len(trust.keys)} keys")


def _keys_of(duty: str, trust: TrustRoot) -> Iterator[Finding]:
    now = datetime.now(UTC)
    keys = [item for item in trust.keys if duty in item.duties]
    valid = [item for item in keys if item.covers(now)]
    add = _add(duty, _if_it_holds(lambda: _uri_of(duty)) or "SIGNER", trust)
    mend = f"rotate it, then {add}" if keys else add
    if not valid:
        state = f"{len(keys)} key(s) for {duty}, none of them valid now" if keys else f"no key for {duty}"
        yield _problem(f"{trust.source} has {state}: its evidence cannot count", mend)
    elif not any(item.covers(now + _SOON) for item in keys):
        end = max(item.valid_until for item in valid if item.valid_until)
        yield _warning(
            f"{trust.source}: the last key for {duty} ends on {end:%Y-%m-%d}",
            mend,
        )


def _shared_keys(trust: TrustRoot) -> Iterator[Finding]:
    duties: dict[str, set[str]] = {}
    for item in trust.keys:
        if item.covers(datetime.now(UTC)):
            duties.setdefault(item.key.keyid, set()).update(item.duties)
    for keyid, several in duties.items():
        if len(several) > 1:
            yield _warning(
                f"{trust.source}: the key {keyid[:16]} may sign for {', '.join(sorted(several))}",
                "give each duty a key of its own, so that who holds one can forge no other's evidence",
            )


def _add(duty: str, uri: str, trust: TrustRoot) -> str:
    return f"mlgov trust add --trust {trust.source} --duty {duty} --sign {uri}"


# -- signing -----------------------------------------------------------------------------------------------------------


def _signing(governance: Duty) -> Iterator[Finding]:
    trust = _if_it_holds(lambda: governance.trust)
    signers = {duty: _uri_of(duty) for duty in _duties(governance)}
    policy = _if_it_holds(lambda: governance.policy)
    is_local = any(uri.startswith("local:") for uri in signers.values())
    if is_local and policy and governance.environment in policy.production:
        yield _problem(
            f"{governance.environment} is production by the policy, and key files sign: every signature is refused",
            "keep the keys in Vault or a KMS: mlgov trust move, and [mlgov] sign = vault:mlgov-{duty}",
        )
    elif is_local:
        yield _warning(
            "evidence is signed with local key files: whoever can read one can sign",
            "keep the keys in Vault: [mlgov] sign = vault:mlgov-{duty}",
        )
    else:
        yield from _vault_connections(signers)
    for duty in signers:
        try:
            yield from _signer(duty, signers, trust)
        except DependencyError as error:
            yield _failed(error, f"{duty}: ")
            return  # the others would wait for the same Vault
        except Exception as error:
            yield _failed(error, f"{duty}: ")


def _uri_of(duty: str) -> str:
    """The signer of a duty, as a task of that duty opens it."""
    if find_spec("airflow_mlgov.duty") is None:
        from airflow_mlgov.cli.alone import Alone

        return Alone(duty).signer_uri
    from airflow_mlgov.configuration import home
    from airflow_mlgov.duty import Duty

    return Duty(duty).signer_uri or f"local:{home() / 'signing-key.pem'}"


def _signing_alone(here: Alone) -> Iterator[Finding]:
    """Whether the keys open that commands sign with here, if there are any, and are trusted for their duty."""
    if not here.signer_uri:
        yield _ok("nothing is signed here: neither MLGOV_SIGN nor sign under [mlgov] names a signer")
        return
    trust = _if_it_holds(lambda: here.trust)
    for duty in _duties(here):
        yield from _examined(_signer_alone(duty, trust))


def _signer_alone(duty: str, trust: TrustRoot | None) -> Iterator[Finding]:
    from airflow_mlgov.cli.alone import Alone

    signs = Alone(duty)
    scheme, _, name = signs.signer_uri.partition(":")
    if scheme == "local" and not Path(name).expanduser().exists():  # opening it would make it
        yield _warning(f"{duty}: there is no key file {name}", "the first signature makes it")
        return
    keyid = signs.signer().public_key.keyid
    if trust is not None:
        yield _trusted(duty, signs.signer_uri, keyid, trust)


def _vault_connections(duties: Iterable[str]) -> Iterator[Finding]:
    """Who else can sign, by what the connections say."""
    from airflow_mlgov.configuration import filled, option
    from airflow_mlgov.exposure import holds_secret

    text = option("vault_conn_id")
    if not text:
        raise ConfigurationError(
            "keys in Vault need an identity: set [mlgov] vault_conn_id", code="vault.not_configured"
        )
    names = sorted({filled("vault_conn_id", duty) for duty in duties})
    if "{duty}" not in text:
        yield _warning(
            f"one Vault identity, that of the connection {text}, signs for every duty",
            "give each its own: [mlgov] vault_conn_id = mlgov_vault_{duty}, with what `mlgov vault-policy DUTY` prints",
        )
    readable = [name for name in names if holds_secret(name)]
    if readable:
        yield _warning(
            f"the connections {', '.join(readable)} hold a secret: any DAG can read it and sign as the gate",
            "give gates a queue of their own whose workers log in to Vault by themselves (auth_type kubernetes, jwt "
            "with jwt_token_path, aws_iam, azure or gcp; or token, with VAULT_TOKEN on those workers alone), and take "
            "the secret out of the connection",
        )


def _signer(duty: str, signers: Mapping[str, str], trust: TrustRoot | None) -> Iterator[Finding]:
    from airflow_mlgov.duty import Duty
    from airflow_mlgov.vault import signer_of

    uri = signers[duty]
    scheme, _, name = uri.partition(":")
    if scheme == "local" and not Path(name).expanduser().exists():  # opening it would make it
        if trust is not None:
            yield _problem(f"{duty}: there is no key file {name}", _add(duty, uri, trust))
        return
    vault = Duty(duty).vault() if scheme == "vault" else None
    keyid = signer_of(uri, lambda: vault, lambda: trust.key_for(duty) if trust else None).public_key.keyid
    if trust is not None:
        yield _trusted(duty, uri, keyid, trust)
    if vault is not None:
        yield from _vault_rights(duty, signers, vault)


def _trusted(duty: str, uri: str, keyid: str, trust: TrustRoot) -> Finding:
    entries = [item for item in trust.keys if item.key.keyid == keyid]
    if not entries:
        return _problem(
            f"{duty}: the key {keyid[:16]} of {uri} is not in the trust root {trust.source}", _add(duty, uri, trust)
        )
    if not any(duty in item.duties and item.covers(datetime.now(UTC)) for item in entries):
        return _problem(
            f"{duty}: the trust root {trust.source} has the key {keyid[:16]} of {uri}, but not for this duty now",
            "correct the duties or dates of its entry, or give the duty a key of its own",
        )
    return _ok(f"{duty}: {uri} opens, and the trust root has its key {keyid[:16]} for this duty")


def _vault_rights(duty: str, signers: Mapping[str, str], vault: Any) -> Iterator[Finding]:
    """Ask Vault whether the identity may sign with its own key, and whether with that of another duty."""
    from airflow_mlgov.configuration import option
    from airflow_mlgov.vault.errors import vault_errors
    from airflow_mlgov.vault.transit import mount_and_key

    named = {other: mount_and_key(uri.partition(":")[2]) for other, uri in signers.items()}
    paths = {other: f"{mount}/sign/{key}" for other, (mount, key) in named.items()}
    try:
        with vault_errors("ask what its own token may do"):
            answer = vault.sys.get_capabilities(sorted(set(paths.values())))["data"]
    except AccessError as error:
        yield _warning(
            f"{duty}: {error}", "allow it `update` on sys/capabilities-self, as Vault's policy `default` does"
        )
        return
    allowed = {path for path, rights in answer.items() if {"update", "root"} & set(rights)}
    mend = f"give it the Vault policy that `mlgov vault-policy {duty}` prints, and no other"
    if paths[duty] not in allowed:
        yield _problem(f"{duty}: its Vault identity may not `update` {paths[duty]}", mend)
    others = [other for other, path in paths.items() if path in allowed - {paths[duty]}]
    if others and "{duty}" in option("vault_conn_id"):
        yield _problem(f"{duty}: its Vault identity may also sign for {', '.join(others)}", mend)


# -- identity ----------------------------------------------------------------------------------------------------------


def _identity(governance: Duty) -> Iterator[Finding]:
    """Who could sign for which duty, by the executor, the queue of this package's tasks, and the connections."""
    from airflow_mlgov.exposure import HIGH, signable

    yield from _queue()
    could = dict(signable(_duties(governance)))
    high = [model.name for model in _models(governance) if model.tier == HIGH]
    told = f"code that runs here could sign for {', '.join(f'{duty} (by {by})' for duty, by in could.items())}"
    if len(could) > 1:
        mend = "give each duty a queue whose workers have its identity alone; run mlgov doctor on a worker of each"
        if high:
            yield _problem(f"{told}; so tasks of {', '.join(high)} (tier high) are refused here", mend)
        else:
            yield _warning(told, mend)
    elif could:
        yield _ok(told)
    else:
        yield _ok("no key and no log-in that this process can read lets it sign; what its own identity may, Vault says")
    stored = _in_the_database(could)
    if stored:
        yield (_problem if high else _warning)(
            f"the connections {', '.join(stored)} are in Airflow's database: a task of any DAG, on any queue, is given "
            "them when it asks",
            "delete them there, and keep them in a secrets backend that the workers of their duty alone have "
            "([workers] secrets_backend)",
        )


def _queue() -> Iterator[Finding]:
    """Whether gates run where other DAGs do."""
    from airflow.providers.common.compat.sdk import conf

    from airflow_mlgov.configuration import option

    executor, queue = str(conf.get("core", "executor", fallback="")), option("queue")
    if "LocalExecutor" in executor and "," not in executor:
        yield _warning(
            f"{executor} runs every DAG's tasks beside the scheduler, so whatever one of them can read, all can",
            "use an executor whose workers can differ, Celery or Kubernetes: docs/identity.md",
        )
    elif not queue:
        yield _warning(
            f"{executor} may run gates, approval and promotion on the workers of every DAG: [mlgov] queue is not set",
            "set it to a queue of their own, whose workers have the DAG files that were reviewed and nothing else",
        )
    elif queue == conf.get("operators", "default_queue", fallback="default"):
        yield _problem(
            f"[mlgov] queue is {queue}, the queue of every DAG that names none",
            "name another, and start workers for it that take no other queue",
        )
    yield _ok(f"{executor}; gates, approval and promotion run on {f'the queue {queue}' if queue else 'any queue'}")


def _in_the_database(duties: Iterable[str]) -> list[str]:
    """Which of these duties' Vault connections Airflow's database has; none where it cannot be asked from here."""
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    from airflow_mlgov.configuration import filled

    named = {filled("vault_conn_id", duty) for duty in duties} - {""}
    try:
        with create_session() as session:
            return sorted(session.scalars(select(Connection.conn_id).where(Connection.conn_id.in_(named))))
    except SQLAlchemyError:
        return []


# -- ledger, registry, Airflow -----------------------------------------------------------------------------------------


def _ledger(_: Duty) -> Iterator[Finding]:
    from airflow.providers.common.compat.sdk import conf

    from airflow_mlgov.hooks.ledger import LedgerHook

    try:
        ledger = LedgerHook(create=False).get_conn()
    except ConfigurationError as error:
        if error.code != "ledger.missing":
            raise
        yield _warning(str(error), "if evidence was signed before, it lies elsewhere: correct [mlgov] ledger")
        return
    executors = str(conf.get("core", "executor", fallback="")).split(",")
    elsewhere = [name for name in executors if not name.strip().endswith("LocalExecutor")]
    if ledger.url.startswith("sqlite") and elsewhere:
        yield _warning(
            f"the ledger {ledger.url} is a file of one machine, and {', '.join(elsewhere)} may run tasks on others",
            "keep it in PostgreSQL: set [mlgov] ledger_conn_id",
        )
    yield from _chain(ledger)


def _ledger_alone(here: Alone) -> Iterator[Finding]:
    yield from _chain(here.ledger())


def _chain(ledger: Ledger) -> Iterator[Finding]:
    """Whether the ledger's database and its chain are as they were made."""
    for oddity in ledger.oddities():
        yield _problem(
            f"the ledger {ledger.url} {oddity}",
            "find out who did it, hold the chain against a checkpoint, and make it again as "
            "airflow_mlgov/evidence/ledger_schema.py does",
        )
    size = ledger.verify().size
    if not size:
        yield _warning(
            f"the ledger {ledger.url} is empty",
            "if evidence was signed before, it lies elsewhere: correct [mlgov] ledger",
        )
    yield _ok(f"the ledger {ledger.url} opens, and its chain of {size} entries holds")


def _mlflow(governance: Duty) -> Iterator[Finding]:
    hook = governance.mlflow
    hook.registry().ping()
    yield _ok(f"the registry of the connection {hook.mlflow_conn_id} answers and knows the identity of promotion")


def _mlflow_alone(here: Alone) -> Iterator[Finding]:
    yield _ok(f"the registry {here.registry_answers()} answers and knows the identity of this shell")


def _airflow(governance: Duty) -> Iterator[Finding]:
    from airflow_mlgov.exposure import exposures, simple_auth_manager

    if simple_auth_manager():
        yield _warning(
            "SimpleAuthManager is for development: users and passwords are a setting and a file",
            "set [core] auth_manager to that of your organisation, FAB or Keycloak for instance",
        )
    high = [model.name for model in _models(governance) if model.tier == "high"]
    found = exposures()
    for message, mend in found:
        mend += ". What counts is what a worker sees: run mlgov doctor there"
        if high:
            yield _problem(f"{message}; so tasks of {', '.join(high)} (tier high) are refused here", mend)
        else:
            yield _warning(message, mend)
    if not found:
        yield _ok("nothing that this process can read lets an approval be forged")

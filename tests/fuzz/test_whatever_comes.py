"""Whatever comes from outside, however it is bent, ends in an answer or in an error that says what to mend, in bounded
time. ``make fuzz`` draws ten thousand inputs, with at most four gigabytes to map; otherwise a few, always the same."""

import copy
import io
import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_mlgov import cli
from airflow_mlgov.errors import InternalError, told
from airflow_mlgov.evidence.ledger import open_ledger
from airflow_mlgov.evidence.notes import sign_note
from airflow_mlgov.evidence.pack import write_pack
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer, sign_statement
from airflow_mlgov.evidence.tiles import export_tiles
from airflow_mlgov.evidence.tlog_proof import read_proof
from airflow_mlgov.evidence.verification import verify_envelope
from airflow_mlgov.gates.bounds import parse_bounds
from airflow_mlgov.governance.policy import load_policy
from tests.worlds.pipelines import GUARDED, judged
from tests.worlds.samples import MODEL, STATEMENTS

SURFACES = 10
ASKED = int(os.environ.get("MLGOV_FUZZ", "0"))
SECONDS = 30
"""One input may take on a busy machine."""
drawn = settings(
    max_examples=max(1, ASKED // SURFACES) if ASKED else 12,
    derandomize=not ASKED,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

NASTY = [
    None,
    True,
    False,
    0,
    -1,
    1,
    10**12,
    10**30,
    10**400,
    -(10**400),
    0.0,
    -0.0,
    1e300,
    1e-320,
    float("nan"),
    float("inf"),
    "",
    " ",
    "nan",
    "inf",
    "1e400",
    "-1e308",
    "9" * 400,
    "on",
    "no",
    "~",
    "2024",
    "2024-01-01",
    "0x1F",
    "1_000",
    "12:30:45",
    "\x00",
    "\x1b[2J",
    "\r\n## x",
    "\u202e",
    "\ud800",
    "😀",
    "é" * 300,
    "x" * 5_000,
    "../../etc/passwd",
    "/dev/zero",
    ".",
    "models:/a/1",
    "models:/a/99999999999999999999",
    "models:/@",
    "a@b@c",
    "http://h:99999/",
    "http://[::1",
    "sqlite://",
    "postgresql://h:port/d",
    "file:///x",
    "s3://bucket/x",
    "vault:",
    "local:",
    "local:/",
    "{{ 7*7 }}",
    "${X}",
    "%s%n",
    "'\"",
    "; DROP TABLE x",
    "$PARAMETER",
    "<<",
    "&a",
    "*a",
    "!!python/object:os.system",
    "[" * 200,
    "{" * 200,
    [],
    {},
    [[]],
    [{}],
    {"": ""},
    {"a": {"a": {"a": {}}}},
    [None],
    {"min": None},
    {"min": "0.5"},
    {"max": [1]},
]
SCALARS = st.one_of(st.sampled_from(NASTY), st.text(max_size=8), st.integers(), st.floats())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
WORDS = st.one_of(st.sampled_from([item for item in NASTY if isinstance(item, str)]), st.text(max_size=12))


@contextmanager
def in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise BaseException(f"no end within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ends_well(act: Callable[[], Any]) -> None:
    """It answers, or says what to mend; nothing that nobody expected is raised."""
    found: list[Exception] = []
    with in_time():
        try:
            act()
        except Exception as error:
            found.append(error)
    assert [repr(error) for error in found if isinstance(told(error), InternalError) or not str(error)] == []


def run(*words: object) -> tuple[int, str]:
    """The command line in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["mlgov", *map(str, words)]
    try:
        with in_time(), redirect_stdout(out), redirect_stderr(err):
            cli.main()
        code: Any = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    said = err.getvalue()
    assert code in (0, 1, 2, 3, 4), said
    assert "Traceback" not in said
    assert "\x1b" not in out.getvalue() + said
    return code, said


DEEP, MANY = 30, 5_000
"""Parts that lie deeper, or behind so many others, are not bent: a drawn value may lie in itself many times over."""


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    for _ in range(MANY):
        if not waiting:
            return
        path, here = waiting.pop(0)
        yield path
        pairs = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        waiting += [((*path, key), item) for key, item in pairs if len(path) < DEEP]


@st.composite
def bent(draw: st.DrawFn, good: Any) -> Any:
    """A document in which one to three parts are replaced, left out, put in or named otherwise."""
    document = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(document))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                return draw(VALUES)
            continue
        holder = document
        for part in path[:-1]:
            holder = holder[part]
        last = path[-1]
        act = draw(st.sampled_from(("replace", "replace", "replace", "drop", "name", "wrap")))
        if act == "replace":
            holder[last] = copy.deepcopy(draw(VALUES))  # what is drawn is bent no further
        elif act == "drop":
            del holder[last]
        elif act == "wrap":
            holder[last] = [holder[last]]
        elif isinstance(holder, dict):
            name = draw(st.one_of(WORDS, st.integers(), st.booleans()))
            holder[name] = holder.pop(last)
        else:
            holder.insert(0, copy.deepcopy(draw(VALUES)))
    return document


OPENED = (b"[", b"{", b'{"a":', b"- ", b"? ", b"a: {b: ", b"&a [", b"!x [")
"""What lies in itself, again and again."""


@st.composite
def written(draw: st.DrawFn, good: Any, *, yaml_too: bool = True) -> bytes:
    """A bent document as bytes of JSON or YAML, some of which are then bent too."""
    document = draw(bent(good))
    try:
        if yaml_too and draw(st.booleans()):
            text = yaml.safe_dump(document, allow_unicode=draw(st.booleans()))
        else:
            text = json.dumps(document, ensure_ascii=draw(st.booleans()), default=str)
    except (yaml.YAMLError, TypeError, ValueError):
        text = repr(document)
    raw = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        at, more = draw(st.integers(0, len(raw))), draw(st.binary(max_size=6))
        raw = raw[:at] + more + raw[at + draw(st.integers(0, 4)) :]
    if draw(st.integers(0, 19)) == 0:
        raw = draw(st.sampled_from(OPENED)) * draw(st.sampled_from((150, 5_000, 200_000))) + raw
    return raw


@st.composite
def bent_lines(draw: st.DrawFn, good: str) -> bytes:
    """A text of lines of which one to three are replaced, left out, put in or there many times, as bytes."""
    lines = good.split("\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        act = draw(st.sampled_from(("replace", "drop", "insert", "many", "inside")))
        word = draw(st.one_of(WORDS, st.integers().map(str), st.binary(max_size=70).map(lambda raw: raw.hex())))
        if act == "replace":
            lines[at] = word
        elif act == "drop" and len(lines) > 1:
            del lines[at]
        elif act == "many":
            lines[at:at] = [lines[at]] * draw(st.sampled_from((1, 100, 20_000)))
        elif act == "inside":
            inside = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:inside] + word + lines[at][inside + draw(st.integers(0, 4)) :]
        else:
            lines.insert(at, word)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


POLICY = {
    "version": 1,
    "defaults": {"evidence_max_age": "7d"},
    "groups": {"risk": ["olga", "omar"]},
    "models": {
        "credit": {
            "tier": "high",
            "owners": ["a@b.example"],
            "gates": {
                "performance": {"label": "y", "score": "s", "roc_auc": {"min": 0.7}, "max_tries": {"same_data": 3}},
                "fairness": {
                    "label": "y",
                    "sensitive_features": {"sex": ["f", "m"]},
                    "demographic_parity_ratio": {"min": 0.8},
                },
                "data_validation": {
                    "suite": "suite.json",
                    "checks": {"drift": {"reference": "champion", "psi": {"max": 1}}},
                },
            },
            "targets": {
                "production": {
                    "stage": "Production",
                    "alias": "champion",
                    "requires": ["performance"],
                    "approvals": {"count": 1, "from": ["risk"], "not": ["trainer"]},
                    "waivers": {"max_days": 30, "signers": 2, "from": ["risk"], "audit_within": "14d"},
                    "break_glass": {"from": ["olga"], "max_hours": 24, "audit_within": "2d"},
                }
            },
        }
    },
}
SUITE = {
    "name": "s",
    "meta": {"great_expectations_version": "1.0"},
    "parameters": {"p": 1},
    "expectations": [
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "y", "mostly": 0.9},
            "severity": "critical",
        },
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "s", "min_value": 0, "max_value": 1}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "sex", "value_set": ["f", "m"]}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "sex", "regex": "^[fm]$"}},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": None}},
    ],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a ledger, a trust root, a pack and data; commands are run in it."""
    folder = tmp_path_factory.mktemp("fuzz")
    before = Path.cwd()
    os.chdir(folder)
    trust = TrustRoot()
    for duty in duties():
        trust = trust.with_key(open_signer(f"local:{folder / duty}.pem", make_key=True).public_key, [duty])
    trust.save(folder / "trust.json")
    trust.save(folder / "kept.json")  # a bent `trust add` may change the other
    ledger = open_ledger("sqlite:///ledger.db")
    for make in STATEMENTS.values():
        ledger.attest(make(), open_signer(f"local:{folder / make().duty}.pem", make_key=True))
    signer = open_signer(f"local:{folder / 'checkpoint'}.pem", make_key=True)
    note = sign_note(ledger.verify(), signer)
    Path("good.note").write_text(note)
    write_pack(ledger, MODEL, folder / "pack.zip", note=note)
    export_tiles(ledger, folder / "log", signer)
    Path("x.csv").write_text("y,s,sex\n1,0.5,f\n0,0.2,m\n1,0.9,f\n")
    Path("mlgov.yaml").write_text(yaml.safe_dump(POLICY))
    Path("suite.json").write_text(json.dumps(SUITE))
    yield folder
    os.chdir(before)


@drawn
@given(raw=written(POLICY))
def test_policies(raw: bytes, desk: Path) -> None:
    def read() -> None:
        Path("bent.yaml").write_bytes(raw)
        policy = load_policy("bent.yaml")
        for name, model in policy.models.items():
            policy.descriptor(), model.target(next(iter(model.targets)))
            for gate in model.gates:
                model.bounds(gate), model.settings(gate), model.max_tries(gate)
            policy.suites(name)

    ends_well(read)


@drawn
@given(data=st.data())
def test_pipelines(data: st.DataObject, desk: Path) -> None:
    name, text = GUARDED[data.draw(st.sampled_from(sorted(GUARDED)))]
    if name == "Jenkinsfile":
        at, more = data.draw(st.integers(0, len(text))), data.draw(st.sampled_from(BRACKETS))
        raw = f"{text[:at]}{more}{text[at + data.draw(st.integers(0, 9)) :]}".encode()
    else:
        raw = data.draw(written(yaml.safe_load(text)))
    file = desk / "bent" / Path(name).name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(raw)
    ends_well(lambda: judged({"manifest": str(file)}))


BRACKETS = ["{" * 50_000, "( " * 50_000, "$(" * 20_000, "'", '"""', "/*", "}", "script { if (x) {", "", "\x00"]


@drawn
@given(data=st.data())
def test_trust_roots(data: st.DataObject, desk: Path) -> None:
    raw = data.draw(written(json.loads(Path("kept.json").read_text()), yaml_too=False))
    Path("bent.json").write_bytes(raw)
    ends_well(lambda: TrustRoot.load("bent.json"))
    run("trust", "show", "--trust", "bent.json")


@drawn
@given(raw=written(SUITE), name=st.sampled_from(["bent.json", "bent.yaml", "bent.pbtxt"]))
def test_suites(raw: bytes, name: str, desk: Path) -> None:
    Path(name).write_bytes(raw)
    run("gate", "data-validation", "--data", "x.csv", "--suite", name)


@drawn
@given(data=st.data())
def test_packs(data: st.DataObject, desk: Path) -> None:
    with zipfile.ZipFile("pack.zip") as pack:
        texts = {name: pack.read(name).decode() for name in pack.namelist()}
    which = data.draw(st.sampled_from(sorted(texts)))
    if which.endswith(".tlog-proof"):
        lines = [data.draw(bent_lines(texts[which])).decode("utf-8", "replace")]
    else:
        lines = texts[which].splitlines() if which.endswith(".jsonl") else [texts[which]]
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(written(json.loads(lines[at]), yaml_too=False)).decode("utf-8", "replace")
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile("bent.zip", "w", method) as pack:
        for name, text in {**texts, which: "\n".join(lines)}.items():
            pack.writestr(name, text)
    if data.draw(st.integers(0, 3)) == 0:
        raw = bytearray(Path("bent.zip").read_bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        Path("bent.zip").write_bytes(raw)
    run("verify", "--pack", "bent.zip", "--trust", "trust.json")


@drawn
@given(data=st.data())
def test_notes_and_proofs(data: st.DataObject, desk: Path) -> None:
    raw = data.draw(bent_lines(Path("good.note").read_text()))
    Path("bent.note").write_bytes(raw)
    for option in ("--checkpoint", "--since"):
        run("ledger", "verify", "--ledger", "sqlite:///ledger.db", option, "bent.note", "--trust", "trust.json")
    shutil.rmtree("bent.log", ignore_errors=True)
    shutil.copytree("log", "bent.log")
    Path("bent.log", "checkpoint").write_bytes(raw)
    run("ledger", "export", "--ledger", "sqlite:///ledger.db", "--tiles", "bent.log", "--sign", "local:checkpoint.pem")
    proof = "c2sp.org/tlog-proof@v1\nindex 3\n" + (f"{'A' * 43}=\n" * 4) + "\n" + Path("good.note").read_text()
    text = data.draw(bent_lines(proof)).decode("utf-8", "replace")
    ends_well(lambda: read_proof(text))


@drawn
@given(data=st.data(), name=st.sampled_from(sorted(STATEMENTS)))
def test_statements_and_envelopes(data: st.DataObject, name: str, desk: Path) -> None:
    statement = STATEMENTS[name]()
    trust, signer = TrustRoot.load("trust.json"), open_signer(f"local:{desk / statement.duty}.pem", make_key=True)

    document = data.draw(bent(statement.as_json()))

    def verify() -> None:
        if isinstance(document, dict):
            verify_envelope(sign_statement(document, signer), trust)

    ends_well(verify)
    envelope = json.loads(sign_statement(statement, signer))
    raw = data.draw(written(envelope, yaml_too=False)).decode("utf-8", "replace")
    ends_well(lambda: verify_envelope(raw, trust))


@drawn
@given(data=st.data())
def test_bounds(data: st.DataObject) -> None:
    from airflow_mlgov import catalogue

    gate = catalogue.load(data.draw(st.sampled_from(["performance", "fairness", "evaluation"])))
    good = {"roc_auc": {"min": 0.5, "severity": "warning"}, "demographic_parity_ratio": {"min": 0.8, "max": 1.25}}
    said = data.draw(bent(good))
    ends_well(lambda: parse_bounds(said, gate.metrics))


COMMANDS = [
    ("ledger", "show", "1", "--ledger", "sqlite:///ledger.db"),
    ("ledger", "verify", "--ledger", "sqlite:///ledger.db", "--checkpoint", "c.json", "--trust", "trust.json"),
    (
        *("ledger", "verify", "--ledger", "sqlite:///ledger.db", "--checkpoint", "good.note", "--trust", "trust.json"),
        *("--witness", "w.example+6d32b2d8+BAAA", "--quorum", "1"),
    ),
    ("ledger", "checkpoint", "--ledger", "sqlite:///ledger.db", "--note", "n", "--origin", "a", "--sign", "local:k"),
    ("ledger", "export", "--ledger", "sqlite:///ledger.db", "--tiles", "t.log", "--origin", "a/b", "--sign", "local:k"),
    ("obligations", "--ledger", "sqlite:///ledger.db", "--trust", "trust.json", "--model", "credit_risk", "--json"),
    ("replay", "--ledger", "sqlite:///ledger.db", "--trust", "trust.json", "--decision", "6", "--policy", "mlgov.yaml"),
    (
        "verify",
        "models:/m/1",
        "--ledger",
        "sqlite:///ledger.db",
        "--trust",
        "trust.json",
        "--registry",
        "http://127.0.0.1:9",
    ),
    ("verify", "--pack", "pack.zip", "--trust", "trust.json", "--target", "t", "--environment", "e", "--json"),
    ("gate", "performance", "--data", "x.csv", "--label", "y", "--score", "s", "--bound", "roc_auc>=0.5", "--json"),
    (
        "gate",
        "fairness",
        "--data",
        "x.csv",
        "--label",
        "y",
        "--score",
        "s",
        "--sensitive",
        "sex",
        "--confidence",
        "0.9",
    ),
    ("gate", "data-validation", "--data", "x.csv", "--suite", "suite.json", "--memory-limit", "64MB", "--sample", "9"),
    ("gate", "evaluation", "--data", "x.csv", "--row-id", "s", "--bound", "y_rate<=0.5", "--min-examples", "2"),
    ("suite", "propose", "--data", "x.csv", "--name", "n"),
    ("trust", "add", "--trust", "new.json", "--sign", "local:new.pem", "--duty", "fairness"),
    ("vault-policy", "fairness"),
    (
        "waive",
        "models:/m/1",
        "--target",
        "t",
        "--reason",
        "r",
        "--ledger",
        "sqlite:///ledger.db",
        "--trust",
        "trust.json",
        "--policy",
        "mlgov.yaml",
        "--sign",
        "local:waiver.pem",
        "--gate",
        "fairness",
        "--check",
        "c",
        "--min",
        "0.5",
        "--days",
        "3",
        "--registry",
        "sqlite:///none/x.db",
    ),
    (
        "break-glass",
        "models:/m/1",
        "--target",
        "t",
        "--reason",
        "r",
        "--ledger",
        "sqlite:///ledger.db",
        "--trust",
        "t.json",
        "--policy",
        "mlgov.yaml",
        "--sign",
        "local:waiver.pem",
        "--hours",
        "3",
        "--registry",
        "file:///nowhere",
    ),
]


@drawn
@given(data=st.data())
def test_arguments(data: st.DataObject, desk: Path) -> None:
    words = list(data.draw(st.sampled_from(COMMANDS)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(words) - 1))
        act = data.draw(st.sampled_from(("replace", "replace", "drop", "twice", "joined")))
        said = data.draw(WORDS).replace("\x00", "")
        if act == "replace":
            words[at] = said
        elif act == "drop" and len(words) > 1:
            del words[at]
        elif act == "twice":
            words.insert(at, words[at])
        else:
            words[at] += said
    if words[:1] != ["demo"] and not any(
        "://" in word and "127.0.0.1" not in word and "sqlite" not in word for word in words
    ):
        run(*words)


@drawn
@given(rows=st.binary(max_size=200), name=st.sampled_from(["b.csv", "b.parquet", "b.csv.gz", "b.jsonl", "b.zip"]))
def test_data(rows: bytes, name: str, desk: Path) -> None:
    Path(name).write_bytes(rows)
    run("gate", "data-validation", "--data", name, "--suite", "suite.json")

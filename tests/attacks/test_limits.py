"""Files, packs and paths from outside that would take the memory, the time or the patience of whoever opens them."""

import json
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.shell import Run

POLICY = "version: 1\nmodels: {m: {targets: {t: {alias: a, requires: [fairness]}}}}\n"
TRUST = '{"version": 1, "keys": []}\n'


def bomb(levels: int = 8) -> str:
    """Eight lines of YAML that stand for a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 13)}]" for n in range(1, levels)]
    return "\n".join(lines) + f"\nversion: 1\nmodels: *a{levels - 1}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (bomb(), "file.too_many"),
        (f"{POLICY}more: &x [*x]\n", "file.too_deep"),
        (f"{POLICY}more: {'[' * 100_000}{']' * 100_000}\n", "file.too_deep"),
        (f"{POLICY}more: {'{a: ' * 5_000}1{'}' * 5_000}\n", "file.too_deep"),
        (f"more: [{'1, ' * 400_000}]\n", "file.too_many"),
        (f"more: '{'a' * 17_000_000}'\n", "file.too_large"),
        (f"{POLICY}more: [{', '.join(['&a' + str(n) + ' 1' for n in range(50_000)])}]\n", "policy.unknown_key"),
    ],
    ids=["aliases", "a value in itself", "brackets", "braces", "many", "large", "anchors"],
)
def test_a_policy_that_takes_long_or_much(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "mlgov.yaml").write_text(text)
    (tmp_path / "trust.json").write_text(TRUST)
    words = ["verify", "m/1", "--trust", "trust.json", "--policy", "mlgov.yaml", "--ledger", "sqlite:///no.db"]
    seconds, memory, done = bounded(words, tmp_path)
    assert f"[{code}]" in done.stderr, done.stderr
    assert done.returncode == 2
    assert seconds < 60, "on an idle machine under five"
    assert memory < 700 * 1024**2


_TELLING = """
import atexit, pathlib, re
status = lambda: pathlib.Path("/proc/self/status").read_text()
atexit.register(lambda: pathlib.Path("most").write_text(re.search(r"VmHWM:\\s+(\\d+)", status())[1]))
from airflow_mlgov.cli import main
main()
"""
"""The command, and how many kibibytes it held at most. ``ru_maxrss`` begins at what the process held that forked it."""


def bounded(words: list[str], folder: Path) -> tuple[float, int, subprocess.CompletedProcess[str]]:
    """Run the command where it may map two gigabytes; seconds, and the most memory that it has held."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3))

    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _TELLING, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
        check=False,
    )
    most = int((folder / "most").read_text()) * 1024
    assert "Traceback" not in done.stderr
    return time.monotonic() - began, most, done


def inflating(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("manifest.json", json.dumps({"version": 1, "model": {}}) + " " * 300_000_000)


def foreign(path: Path) -> None:
    """A member that nobody asks for, of 400 megabytes: it is never unpacked."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("manifest.json", json.dumps({"version": 1, "model": {"name": "m"}}))
        with pack.open("other", "w", force_zip64=True) as member:
            for _ in range(40):
                member.write(bytes(10_000_000))


def lying(path: Path) -> None:
    """A member that says of itself that it is small."""
    inflating(path)
    raw = path.read_bytes()
    size = (300_000_000 + len(json.dumps({"version": 1, "model": {}}))).to_bytes(4, "little")
    path.write_bytes(raw.replace(size, (1000).to_bytes(4, "little")))


def encrypted(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("manifest.json", "{}")
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)


def unknown_method(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as pack:
        pack.writestr("manifest.json", "{}")
    raw = bytearray(path.read_bytes())
    raw[8] = raw[raw.index(b"PK\x01\x02") + 10] = 99
    path.write_bytes(raw)


def holding(manifest: str, *more: tuple[str, str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as pack:
            for name, text in (("manifest.json", manifest), *more):
                pack.writestr(name, text)

    return write


MODEL = '{"kind": "model", "name": "m", "digest": "a", "version": "1", "registry": null}'


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("write", "code"),
    [
        (inflating, "archive.bomb"),
        (lying, "pack.malformed"),
        (foreign, "pack.malformed"),
        (encrypted, "pack.malformed"),
        (unknown_method, "pack.malformed"),
        (holding("{}"), "pack.version"),
        (holding("[]"), "pack.malformed"),
        (holding('{"version": "1"}'), "pack.version"),
        (holding('{"version": 1}'), "pack.malformed"),
        (holding('{"version": 1, "model": []}'), "pack.malformed"),
        (holding('{"version": 1, "model": {"kind": 1, "name": [], "digest": {}}}'), "pack.malformed"),
        (holding(f'{{"version": 1, "model": {MODEL}}}'), "pack.malformed"),
        (holding(f'{{"version": 1, "model": {MODEL}}}', ("ledger.jsonl", "[]\n")), "pack.malformed"),
        (holding(f'{{"version": 1, "model": {MODEL}}}', ("ledger.jsonl", "[" * 100_000)), "json.too_deep"),
        (holding("{}", ("manifest.json", "{}")), "pack.malformed"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), "pack.malformed"),
        (lambda path: path.mkdir(), "file.unreadable"),
    ],
)
def test_a_pack_that_is_no_pack_or_unpacks_to_too_much(
    write: Callable[[Path], None], code: str, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "trust.json").write_text(TRUST)
    write(tmp_path / "pack.zip")
    words = ["verify", "--pack", str(tmp_path / "pack.zip"), "--trust", str(tmp_path / "trust.json")]
    seconds, memory, done = bounded(words, tmp_path)
    assert f"[{code}]" in done.stderr, done.stderr
    assert done.returncode in (1, 2)
    assert seconds < 60
    assert memory < 1200 * 1024**2


SPECIAL = [
    ("verify", "--pack", "{}", "--trust", "trust.json"),
    ("verify", "m/1", "--trust", "{}", "--ledger", "sqlite:///no.db"),
    ("verify", "m/1", "--trust", "trust.json", "--policy", "{}", "--ledger", "sqlite:///no.db"),
    ("verify", "m/1", "--trust", "trust.json", "--policy", "rules.yaml", "--ledger", "sqlite:///no.db"),
    ("verify", "m/1", "--trust", "trust.json", "--ledger", "sqlite:///no.db", "--checkpoint", "{}"),
    ("obligations", "--trust", "trust.json", "--ledger", "sqlite:///{}"),
    ("gate", "data-validation", "--data", "{}", "--suite", "suite.json"),
    ("gate", "data-validation", "--data", "x.csv", "--suite", "{}"),
    ("gate", "data-validation", "--data", "x.csv", "--suite", "suite.json", "--checks", "{}"),
    ("gate", "performance", "--data", "x.csv", "--baseline", "{}", "--label", "y", "--bound", "roc_auc>=0.1"),
    ("trust", "add", "--trust", "new.json", "--sign", "local:{}", "--make-key", "--duty", "fairness"),
    ("trust", "show", "--trust", "{}"),
    ("suite", "propose", "--data", "{}"),
]


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "folder", "long"])
@pytest.mark.parametrize("command", SPECIAL, ids=map(str, range(len(SPECIAL))))
def test_a_path_that_is_no_regular_file(
    command: tuple[str, ...], kind: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = {"long": "x" * 5_000, "/dev/zero": "/dev/zero"}.get(kind, str(tmp_path / "special"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    Path("x.csv").write_text("y,s\n1,0.5\n0,0.2\n")
    Path("trust.json").write_text(TRUST)
    Path("suite.json").write_text('{"name": "s", "expectations": []}')
    Path("rules.yaml").write_text(POLICY.replace("models:", f"rules: ['{path}']\nmodels:"))
    code, out, err = run(*(word.replace("{}", path) for word in command))
    assert code == 2, (out, err)
    assert "error [" in err or (kind == "long" and "is not a path" in err)
    assert len(err) < 12_000

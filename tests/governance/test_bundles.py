"""Bundles of OPA's format: the same rules, the same bytes; and nothing in them that is not Rego."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.bundles import MAX_FILES, digest_of, read_bundle, write_bundle
from airflow_mlgov.governance.packs import load_pack
from tests.codes import raises_code

RULES = {"a.rego": "package acme.a\n", "b/c.rego": "package acme.b\n"}


def packed(files: dict[str, bytes], change=lambda entry: entry) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(change(entry), io.BytesIO(text))
    return gzip.compress(raw.getvalue())


def manifest(rules: dict[str, str]) -> bytes:
    return json.dumps({"revision": digest_of(rules)}).encode()


def read(tmp_path: Path, raw: bytes) -> dict[str, str]:
    tmp_path.chmod(0o755)
    (tmp_path / "bundle.tar.gz").write_bytes(raw)
    return read_bundle(tmp_path / "bundle.tar.gz")


def test_the_same_rules_are_the_same_bytes(tmp_path: Path) -> None:
    made = write_bundle(RULES)
    assert write_bundle(dict(reversed(RULES.items()))) == made
    assert write_bundle({**RULES, "a_test.rego": "package acme.a_test\n"}) == made
    assert read(tmp_path, made) == RULES


def test_a_pack_may_lie_in_a_bundle(tmp_path: Path) -> None:
    pack = load_pack("mlgov.pii")
    tmp_path.chmod(0o755)
    modules = {name: text.replace("mlgov.pii", "acme.pii") for name, text in pack.modules.items()}
    (tmp_path / "pii.tar.gz").write_bytes(write_bundle(modules))
    again = load_pack(f"pii.tar.gz@sha256:{digest_of(modules)}", tmp_path)
    assert [rule.code for rule in again.rules] == [rule.code for rule in pack.rules]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"../a.rego": b"package a\n"}, "pack.path"),
        ({"x/../../a.rego": b"package a\n"}, "pack.path"),
        ({"a.rego": b"package a\n", "./a.rego": b"package b\n"}, "pack.twice"),
        ({"a.rego": b"package a\n", "data.json": b'{"x": 1}'}, "pack.form"),
        ({"a.rego": b"package a\n", "policy.wasm": b""}, "pack.form"),
        ({"a.rego": b"\xff"}, "pack.form"),
        ({".manifest": b"{}"}, "pack.empty"),
        ({"a.rego": b"package a\n", ".manifest": b'{"revision": ""}'}, "pack.revision"),
        ({"a.rego": b"package a\n"}, "pack.revision"),
        ({f"{at}.rego": b"package a\n" for at in range(MAX_FILES + 1)}, "pack.too_large"),
    ],
)
def test_what_may_not_be_in_a_bundle(tmp_path: Path, files: dict[str, bytes], code: str) -> None:
    with raises_code(ConfigurationError, code):
        read(tmp_path, packed(files))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_no_links_and_no_devices(tmp_path: Path, kind: bytes) -> None:
    def linked(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.type, entry.linkname, entry.size = kind, "/etc/passwd", 0
        return entry

    with raises_code(ConfigurationError, "pack.link"):
        read(tmp_path, packed({"a.rego": b""}, linked))


def test_a_bomb_and_what_is_no_archive(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "pack.too_large"):
        read(tmp_path, gzip.compress(b"\0" * (64 * 1024**2)))
    for raw in (b"", b"PK\x03\x04", gzip.compress(b"no tar"), write_bundle(RULES)[:40]):
        with raises_code(ConfigurationError, "pack.form"):
            read(tmp_path, raw)


@pytest.mark.skipif(not shutil.which("opa"), reason="OPA is not on the PATH")
def test_opa_reads_our_bundle(tmp_path: Path) -> None:
    pack = load_pack("mlgov.pipeline")
    tmp_path.chmod(0o755)
    (tmp_path / "ours.tar.gz").write_bytes(write_bundle(pack.modules))
    bundle = str(tmp_path / "ours.tar.gz")
    asked = ["opa", "eval", "-b", bundle, "--stdin-input", "-f", "json", "data.mlgov.pipeline.deny"]
    done = subprocess.run(asked, input='{"pipelines": []}', capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["result"][0]["expressions"][0]["value"] == []
    said = json.loads(subprocess.run(["opa", "inspect", "-f", "json", bundle], capture_output=True, check=True).stdout)
    assert said["manifest"]["revision"] == pack.digest
    assert said["manifest"]["roots"] == ["mlgov/pipeline"]

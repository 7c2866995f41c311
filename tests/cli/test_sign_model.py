"""``mlgov sign-model``: a bundle over what was promoted, which OpenSSF's own command verifies, in an environment of its
own."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from airflow_mlgov.evidence.model_signature import signed_digest
from airflow_mlgov.evidence.pack import open_pack
from airflow_mlgov.evidence.signing import TrustRoot, open_signer
from airflow_mlgov.vault.policy import key_name, vault_policy
from tests.fixtures.openbao import OpenBaoServer
from tests.fixtures.shell import Run
from tests.gates.environments import interpreter
from tests.worlds.governed import Governed


@pytest.fixture
def with_ecdsa(governed: Governed) -> Path:
    """Whoever promotes has an ECDSA key too, which the trust root knows."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    file = governed.folder / "ecdsa.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    signer = open_signer(f"local:{file}", make_key=True)
    TrustRoot.load(governed.trust_file).with_key(signer.public_key, ["promotion"]).save(governed.trust_file)
    return file


def checked(python: Path, folder: Path, signature: Path, public_key: Path) -> tuple[int, str]:
    command = [
        python,
        "-m",
        "model_signing",
        "verify",
        "key",
        folder,
        "--signature",
        signature,
        "--public_key",
        public_key,
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_serves_is_signed_and_goes_into_the_pack(
    governed: Governed, with_ecdsa: Path, shell: Run, tmp_path: Path
) -> None:
    version = governed.candidate()
    governed.promote(version)
    bundle, public = tmp_path / "model.sig", tmp_path / "key.pem"
    sign = ("--sign", f"local:{with_ecdsa}")
    code, out, err = shell(
        "sign-model", version.uri, "--out", bundle, "--public-key", public, "--push", *sign, duty=None
    )
    assert code == 0, err
    assert f"mlgov/signatures/{version.name}-1.sig" in out
    assert signed_digest(bundle.read_text()) == governed.registry.subject(version).digest
    with governed.registry.calling("look") as client:
        path = client.download_artifacts(version.run_id, f"mlgov/signatures/{version.name}-1.sig", str(tmp_path))
    assert Path(path).read_text() == bundle.read_text()
    pack = tmp_path / "pack.zip"
    options = ("--model", version.uri, "--out", pack, "--signature", bundle)
    code, _, err = shell("ledger", "export", *options, duty=None, leave_out=("--trust",))
    assert code == 0, err
    assert open_pack(pack, governed.trust).signature == bundle.read_text()


def test_a_bundle_over_other_files_does_not_go_into_a_pack(
    governed: Governed, with_ecdsa: Path, shell: Run, tmp_path: Path
) -> None:
    first, second = governed.candidate(1.0), governed.candidate(2.0)
    governed.promote(first)
    bundle = tmp_path / "model.sig"
    assert shell("sign-model", first.uri, "--out", bundle, "--sign", f"local:{with_ecdsa}", duty=None)[0] == 0
    options = ("--model", second.uri, "--out", tmp_path / "pack.zip", "--signature", bundle)
    code, _, err = shell("ledger", "export", *options, duty=None, leave_out=("--trust",))
    assert (code, "[artifact.changed]" in err) == (1, True)


def test_nothing_is_signed_that_may_not_serve_or_by_a_key_that_nobody_could_check(
    governed: Governed, with_ecdsa: Path, shell: Run, tmp_path: Path
) -> None:
    version, out = governed.candidate(), tmp_path / "model.sig"
    code, _, err = shell("sign-model", version.uri, "--out", out, "--sign", f"local:{with_ecdsa}", duty=None)
    assert (code, "promotion.missing" in err) == (1, True)
    governed.promote(version)
    code, _, err = shell("sign-model", version.uri, "--out", out, duty="promotion")
    assert (code, "[signer.scheme]" in err) == (2, True)
    assert not out.exists()


@pytest.fixture
def in_transit(governed: Governed, openbao: OpenBaoServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whoever promotes has a Transit key of OpenBao, and an identity there that may do what `mlgov vault-policy` says;
    the signer."""
    key = f"{governed.model}-promotion"
    openbao.make_key(key, "ecdsa-p256")
    openbao.client.sys.create_or_update_policy(key, vault_policy("promotion").replace(key_name("promotion"), key))
    token = openbao.client.auth.token.create(policies=[key])["auth"]["client_token"]
    monkeypatch.setenv("VAULT_ADDR", openbao.addr)
    monkeypatch.setenv("VAULT_TOKEN", token)
    signer = open_signer(f"vault:{key}")
    TrustRoot.load(governed.trust_file).with_key(signer.public_key, ["promotion"]).save(governed.trust_file)
    return f"vault:{key}"


@pytest.mark.slow
@pytest.mark.parametrize("kept_in", ["with_ecdsa", "in_transit"])
def test_openssf_verifies_the_files_and_finds_what_was_changed(
    governed: Governed, kept_in: str, shell: Run, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    key = request.getfixturevalue(kept_in)
    python, version = interpreter("model_signing"), governed.candidate()
    governed.promote(version)
    bundle, public = tmp_path / "model.sig", tmp_path / "key.pem"
    sign = ("--sign", key if kept_in == "in_transit" else f"local:{key}")
    assert shell("sign-model", version.uri, "--out", bundle, "--public-key", public, *sign, duty=None)[0] == 0
    folder = tmp_path / "model"
    shutil.copytree(governed.artifact(version), folder)
    assert checked(python, folder, bundle, public)[0] == 0
    (folder / "registered_model_meta").write_text("as MLflow puts it there\n")
    assert checked(python, folder, bundle, public)[0] == 0
    (folder / "MLmodel").write_text("another: model\n")
    assert checked(python, folder, bundle, public)[0] != 0
    shutil.copy(governed.artifact(version) / "MLmodel", folder)
    (folder / "more").write_text("put there since\n")
    assert checked(python, folder, bundle, public)[0] != 0
    (folder / "more").unlink()
    forged = json.loads(bundle.read_text())
    forged["dsseEnvelope"]["signatures"][0]["sig"] = "MEUCIQ=="
    bundle.write_text(json.dumps(forged))
    assert checked(python, folder, bundle, public)[0] != 0

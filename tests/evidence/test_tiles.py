"""The log as static tiles: what stands in which file, that the folder only goes on, and what it is not written over."""

import fcntl
import hashlib
import os
import shutil
from base64 import b64encode
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence import tiles
from airflow_mlgov.evidence.hash_tree import leaf_hash
from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.notes import open_note, read_note
from airflow_mlgov.evidence.signing import TrustRoot, open_signer, sign_statement
from airflow_mlgov.evidence.tiles import export_tiles
from tests.codes import raises_code
from tests.fixtures.shell import Run
from tests.worlds.statements import make_statement


def grow(ledger: Ledger, signer, count: int) -> None:
    """The same envelope again and again: what is in the entries does not matter here."""
    envelope = sign_statement(make_statement(), signer)
    for _ in range(count):
        ledger.append(envelope)


@pytest.fixture(scope="module")
def of_256(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of as many entries as a full tile has."""
    folder = tmp_path_factory.mktemp("full")
    grow(
        open_ledger(f"sqlite:///{folder / 'ledger.db'}"), open_signer(f"local:{folder / 'key.pem'}", make_key=True), 256
    )
    return folder / "ledger.db"


@pytest.fixture
def full(of_256: Path, tmp_path: Path) -> Ledger:
    shutil.copy(of_256, tmp_path / "full.db")
    return open_ledger(f"sqlite:///{tmp_path / 'full.db'}")


def files(folder: Path) -> set[str]:
    return {str(item.relative_to(folder)) for item in folder.rglob("*") if item.is_file()}


def test_what_stands_in_which_file(ledger: Ledger, signer, tmp_path: Path) -> None:
    grow(ledger, signer, 3)
    folder = tmp_path / "log"
    done = export_tiles(ledger, folder, signer, "bank.example/models")
    assert (done.head, done.origin, done.written) == (ledger.verify(), "bank.example/models", 2)
    assert files(folder) == {"checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"}
    data = [bytes.fromhex(entry.hash) for entry in ledger.entries()]
    assert (folder / "tile/0/000.p/3").read_bytes() == b"".join(map(leaf_hash, data))
    assert (folder / "tile/entries/000.p/3").read_bytes() == b"".join(b"\x00\x20" + item for item in data)
    note = (folder / "checkpoint").read_text()
    trust = TrustRoot().with_key(signer.public_key, ["checkpoint"])
    assert ledger.verify([open_note(note, trust)]).size == 3


def test_numbers_of_tiles_are_paths() -> None:
    assert [tiles._numbered(number) for number in (0, 999, 1000, 1234067)] == [
        *("000", "999", "x001/000", "x001/x234/067"),
    ]
    paths = [path for path, _, _ in tiles._tiles("tile/0", 70_000)]
    assert (len(paths), paths[-1]) == (274, "tile/0/273.p/112")


def test_the_folder_goes_on_and_partial_tiles_become_full(ledger: Ledger, signer, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    grow(ledger, signer, 250)
    export_tiles(ledger, folder, signer)
    before = {name: (folder / name).stat().st_mtime_ns for name in files(folder)}
    assert export_tiles(ledger, folder, signer).written == 0
    assert {name: (folder / name).stat().st_mtime_ns for name in files(folder)} == before
    grow(ledger, signer, 3)
    export_tiles(ledger, folder, signer)
    assert {"tile/0/000.p/250", "tile/0/000.p/253"} <= files(folder)  # for whoever has read the checkpoint of 250
    grow(ledger, signer, 10)
    export_tiles(ledger, folder, signer)
    assert files(folder) == {
        *("checkpoint", "tile/0/000", "tile/0/001.p/7", "tile/1/000.p/1"),
        *("tile/entries/000", "tile/entries/001.p/7"),
    }
    full = (folder / "tile/0/000").read_bytes()
    level = [full[at : at + 32] for at in range(0, len(full), 32)]
    while len(level) > 1:
        level = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    assert (folder / "tile/1/000.p/1").read_bytes() == level[0]


@pytest.mark.parametrize("name", ["tile", "tile/0", "tile/entries", "tile/0/000.p"])
def test_nothing_behind_a_link_is_written_or_taken_away(full: Ledger, signer, tmp_path: Path, name: str) -> None:
    folder, outside = tmp_path / "log", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("of somebody else")
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(outside)
    with raises_code(EvidenceError, "tiles.differs", match="is a link"):
        export_tiles(full, folder, signer)
    assert (files(outside), files(folder)) == ({"kept"}, set())


def test_a_link_in_place_of_a_half_written_file_is_not_followed(ledger: Ledger, signer, tmp_path: Path) -> None:
    folder, victim = tmp_path / "log", tmp_path / "victim"
    victim.write_text("of somebody else")
    folder.mkdir()
    (folder / ".checkpoint.part").symlink_to(victim)
    grow(ledger, signer, 1)
    export_tiles(ledger, folder, signer)
    assert victim.read_text() == "of somebody else"
    assert not (folder / "checkpoint").is_symlink()


def test_a_checkpoint_that_was_cosigned_is_left_while_nothing_is_new(ledger: Ledger, signer, tmp_path: Path) -> None:
    folder, file = tmp_path / "log", tmp_path / "log" / "checkpoint"
    grow(ledger, signer, 2)
    export_tiles(ledger, folder, signer, "l")
    cosigned = f"{file.read_text()}— witness.example {b64encode(bytes(76)).decode()}\n"
    file.write_text(cosigned)
    export_tiles(ledger, folder, signer, "l")
    assert file.read_text() == cosigned
    other = CryptoSigner.generate_ed25519()
    export_tiles(ledger, folder, other, "l")  # a new key signs anew
    assert file.read_text() != cosigned
    assert len(read_note(file.read_text()).signatures) == 1


def state(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_a_folder_with_anything_else_is_not_written(ledger: Ledger, signer, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    grow(ledger, signer, 3)
    grow(other, signer, 5)
    export_tiles(ledger, folder, signer, "l")
    before = state(folder)
    with raises_code(ConfigurationError, "tiles.other_log"):
        export_tiles(ledger, folder, signer, "another")
    with raises_code(EvidenceError, "tiles.forked"):
        export_tiles(other, folder, signer, "l")
    grow(other, signer, 1)
    export_tiles(other, tmp_path / "longer", signer, "l")
    with raises_code(EvidenceError, "tiles.longer"):
        export_tiles(ledger, tmp_path / "longer", signer, "l")
    (folder / "checkpoint").unlink()
    with raises_code(EvidenceError, "tiles.differs"):
        other_three = open_ledger(f"sqlite:///{tmp_path / 'three.db'}")
        grow(other_three, signer, 3)
        export_tiles(other_three, folder, signer, "l")
    assert state(folder) == {name: raw for name, raw in before.items() if name != "checkpoint"}
    export_tiles(ledger, folder, signer, "l")
    assert state(folder) == before


@pytest.mark.parametrize("name", ["tile/0/000.p/3", "tile/entries/000.p/3"])
def test_a_tile_that_somebody_has_changed(ledger: Ledger, signer, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "log"
    grow(ledger, signer, 3)
    export_tiles(ledger, folder, signer)
    raw = bytearray((folder / name).read_bytes())
    raw[-1] ^= 1
    (folder / name).write_bytes(raw)
    grow(ledger, signer, 253)
    export_tiles(ledger, folder, signer)  # by now the full tile stands for it
    (folder / name.replace(".p/3", "")).write_bytes(b"")
    with raises_code(EvidenceError, "tiles.differs", match="000 holds something else"):
        export_tiles(ledger, folder, signer)


def test_an_export_that_was_killed_is_gone_on_with(
    full: Ledger, signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, put, left = tmp_path / "log", tiles._put, [3]
    grow(full, signer, 4)

    def filled(path: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device", str(path))
        put(path, content)

    monkeypatch.setattr(tiles, "_put", filled)
    with raises_code(DependencyError, "store.down", match="No space"):
        export_tiles(full, folder, signer)
    assert "checkpoint" not in files(folder)
    monkeypatch.undo()
    assert export_tiles(full, folder, signer).written == 2
    assert not [name for name in files(folder) if name.endswith(".part")]


@pytest.mark.parametrize("text", [b"", b"hello\n", b"\xff\xfe", b"x" * 5_000_000, b'{"payload": ""}'])
def test_a_checkpoint_of_something_else(ledger: Ledger, signer, tmp_path: Path, text: bytes) -> None:
    grow(ledger, signer, 1)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").write_bytes(text)
    with raises_code(ConfigurationError, "tiles.other_log"):
        export_tiles(ledger, tmp_path / "log", signer)
    assert files(tmp_path / "log") == {"checkpoint"}


def test_where_nothing_can_be_written(ledger: Ledger, signer, tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "ledger.empty"):
        export_tiles(ledger, tmp_path / "log", signer)
    grow(ledger, signer, 1)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "no" / "folder", tmp_path / "file"):
        with raises_code(ConfigurationError, "file.not_writable"):
            export_tiles(ledger, place, signer)
    folder = tmp_path / "log"
    os.mkfifo(folder / "checkpoint")
    with raises_code(ConfigurationError, "file.unreadable"):
        export_tiles(ledger, folder, signer)
    (folder / "checkpoint").unlink()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with raises_code(DependencyError, "tiles.busy"):
        export_tiles(ledger, folder, signer)
    os.close(handle)
    if os.geteuid():
        folder.chmod(0o555)
        with raises_code(AccessError, "file.refused"):
            export_tiles(ledger, folder, signer)


def test_the_command(ledger: Ledger, signer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    grow(ledger, signer, 2)
    given = ["--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--sign", f"local:{tmp_path / 'key.pem'}"]
    code, out, err = run("ledger", "export", *given, "--tiles", tmp_path / "log", "--origin", "l")
    assert code == 0, err
    assert "2 entries of the log l, 2 new files" in out
    assert "l+" in out
    for words in (["--tiles", tmp_path / "log", "--model", "models:/m/1"], [], ["--model", "models:/m/1"]):
        code, _, err = run("ledger", "export", *given, *words)
        assert (code, "[option.missing]" in err) == (2, True)

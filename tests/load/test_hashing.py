"""A model's tree is hashed as fast as SHA-256 goes, within bounded memory, and says how far it is: 10 GB of it in
``make soak``, of files that are all hole, so that no disk is measured and none is filled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = int(os.environ.get("MLGOV_SOAK", "1")) > 1
BYTES, FILES = (10_000_000_000, 40) if SOAK else (400_000_000, 8)
TURNS = 3
SCRIPT = """
import hashlib, json, pathlib, resource, sys, time
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.progress import following

root, turns = pathlib.Path(sys.argv[1]), int(sys.argv[2])

def bare():
    listing = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            listing.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(root)}\\n")
    return hashlib.sha256("".join(listing).encode()).hexdigest()

def timed(what):
    began = time.process_time()
    answer = what()
    return time.process_time() - began, answer

said = []
own, by_hand = [], []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with following(lambda words, _: said.append(words), 0.05, 0.05):
    own.append(timed(lambda: hash_tree(root)))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
by_hand.append(timed(bare))
for _ in range(turns - 1):
    own.append(timed(lambda: hash_tree(root)))
    by_hand.append(timed(bare))
print(json.dumps({
    "digests": sorted({answer for _, answer in own + by_hand}), "grown_kb": grown, "said": [one for one in said if one],
    "own": min(seconds for seconds, _ in own), "by_hand": min(seconds for seconds, _ in by_hand),
}))
"""


@pytest.mark.slow
@pytest.mark.soak
def test_a_tree_is_hashed_as_fast_as_sha256(tmp_path: Path) -> None:
    for number in range(FILES):
        path = tmp_path / f"layer-{number % 4}" / f"weights-{number}.bin"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.write(f"{number}".encode())
            file.truncate(BYTES // FILES)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(TURNS)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(done["digests"]) == 1, "the listing that sha256sum makes"
    assert done["grown_kb"] < 16_384
    assert done["said"], "how far it was"
    assert all(f"of {BYTES / 1e9:.1f} GB are hashed (" in words for words in done["said"]), done["said"][:3]
    ratio = done["own"] / done["by_hand"]
    print(
        f"{BYTES / 1e9:.1f} GB in {FILES} files: {done['own']:.1f} s of processor time, {ratio:.2f} times hashlib's, "
        f"{done['grown_kb'] / 1024:.1f} MB, last said: {done['said'][-1]}"
    )
    assert not SOAK or ratio < 1.5

"""What Weights & Biases has written offline, read back: a log of records in blocks of 32 KiB, each piece with a
checksum, a length and whether it is whole, first, middle or last."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32 * 1024, 7


def _whole(raw: bytes) -> Iterator[bytes]:
    at, found = _HEADER, b""
    while at + _HEADER <= len(raw):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", raw[at : at + _HEADER])
        found += raw[at + _HEADER : at + _HEADER + length]
        at += _HEADER + length
        if kind in (1, 4):
            yield found
            found = b""


def records(file: Path) -> dict[str, Any]:
    """Name and project of a run, its summary, and the names of the files of its artifacts."""
    from wandb.proto import wandb_internal_pb2

    run: dict[str, Any] = {"summary": {}, "files": []}
    for raw in _whole(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run |= {"name": record.run.display_name, "project": record.run.project}
        elif kind == "summary":
            run["summary"] |= {"/".join(item.nested_key) or item.key: json.loads(item.value_json)
                               for item in record.summary.update}  # fmt: skip
        elif kind == "artifact":
            run["files"] += [item.path for item in record.artifact.manifest.contents]
        elif kind == "request" and record.request.HasField("log_artifact"):
            run["files"] += [item.path for item in record.request.log_artifact.artifact.manifest.contents]
    return run

"""Reads W&B's offline runs back: LevelDB's log framing around records of `wandb_internal_pb2`."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEAD = 32768, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class Segment:
    """One offline run: nested values are decoded from JSON."""

    path: Path
    run_id: str = ""
    group: str = ""
    project: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    """Paths within each artifact, by its type."""
    metrics: dict[str, str] = field(default_factory=dict)
    """The step metric of each defined metric or glob."""
    finished: bool = False

    @property
    def steps(self) -> list[int]:
        """W&B's own step of every row."""
        return [row["_step"] for row in self.history]


def payloads(data: bytes) -> Iterator[bytes]:
    """Every whole record; what a killed writer left unfinished at the end is left out."""
    assert data[:4] == b":W&B"
    position, parts = HEAD, b""
    while position + HEAD <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEAD:
            position += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, position)
        chunk = data[position + HEAD : position + HEAD + length]
        if len(chunk) < length or kind == 0:
            return
        assert zlib.crc32(chunk, zlib.crc32(bytes([kind]))) == checksum, "a record does not agree with its checksum"
        position += HEAD + length
        parts = chunk if kind in (WHOLE, FIRST) else parts + chunk
        if kind in (WHOLE, LAST):
            yield parts


def _put(target: dict[str, Any], item: Any) -> None:
    names = list(item.nested_key) or [item.key]
    for name in names[:-1]:
        target = target.setdefault(name, {})
    target[names[-1]] = json.loads(item.value_json)


def read_segment(path: Path) -> Segment:
    from wandb.proto import wandb_internal_pb2

    segment = Segment(path)
    for payload in payloads(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            segment.run_id, segment.group, segment.project = run.run_id, run.run_group, run.project
            segment.tags = list(run.tags)
            for item in run.config.update:
                _put(segment.config, item)
        elif kind == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                _put(row, item)
            segment.history.append(row)
        elif kind == "summary":
            for item in record.summary.update:
                _put(segment.summary, item)
        elif kind == "artifact":
            segment.artifacts[record.artifact.type] = [entry.path for entry in record.artifact.manifest.contents]
        elif kind == "metric":
            segment.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            segment.finished = True
    return segment


def segments_of(run: Path) -> list[Segment]:
    """All offline runs of a run's folder, in the order in which they were begun."""
    return [read_segment(path) for path in sorted((run / "wandb").glob("offline-run-*/*.wandb"))]

"""Inspect AI logs: one `.eval` file per condition, one sample per session, as `inspect view` opens them.

The format is Inspect's log version 2: a ZIP of `header.json`, `summaries.json`, `_journal/start.json` and one JSON file
per sample (documentation of Inspect AI, "Eval Logs"; package `inspect-ai`, module `inspect_ai.log`). Nothing of it is
needed to write them. A questionnaire's scale is a score, a turn's probe, planted codes and state are its message's
metadata. Metrics are plain means over sessions without an interval, because the sessions of one persona are not
independent: intervals stand in the report.
"""

import json
import math
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from simulator.records.fingerprints import fingerprint
from simulator.store.exporters.chat import chairs, metadata_of
from simulator.store.exporters.options import ExportOptions
from simulator.store.exporters.source import Source, Transcript
from simulator.store.runs import RUN_FILE

LOG_VERSION = 2
LOGS_AT_ONCE = 256
"""Files open at once; a run with more conditions is read more than once."""

NOTE = "simulated or imported with Dyad; nothing simulated is evidence about people"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_inspect(source: Source, folder: Path, options: ExportOptions) -> dict[str, int]:
    """Write one log per condition; returns counts."""
    counts = {"logs": 0, "samples": 0}
    conditions = sorted(source.survey.conditions)
    for begin in range(0, len(conditions), LOGS_AT_ONCE):
        now = conditions[begin : begin + LOGS_AT_ONCE]
        with ExitStack() as stack:
            logs: dict[str, _Log] = {}
            for transcript in source.transcripts(measured=True):
                condition = transcript.course["condition"]
                if condition not in now:
                    continue
                if condition not in logs:
                    logs[condition] = stack.enter_context(_log(source, folder, condition, len(conditions)))
                logs[condition].add(transcript, options.assistant)
                counts["samples"] += 1
            for log in logs.values():
                log.finish()
            counts["logs"] += len(logs)
    return counts


@dataclass(slots=True)
class _Mean:
    scored: int = 0
    unscored: int = 0
    total: float = 0.0


@dataclass(slots=True)
class _Log:
    """One `.eval` file while it is written."""

    archive: zipfile.ZipFile
    spec: dict[str, Any]
    stats: dict[str, Any]
    summaries: list[msgspec.Raw] = field(default_factory=list)
    means: dict[str, _Mean] = field(default_factory=lambda: defaultdict(_Mean))
    models: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def add(self, transcript: Transcript, assistant: str) -> None:
        """Write one session's sample."""
        sample = _sample(transcript, assistant)
        self.models.update(turn["model"] for turn in transcript.turns if turn["role"] == assistant and turn["model"])
        for row in transcript.scores:
            mean = self.means[_score_name(row)]
            if row["score"] is None:
                mean.unscored += 1
            else:
                mean.scored += 1
                mean.total += row["score"]
        self.failed += transcript.failure is not None
        self.summaries.append(msgspec.Raw(msgspec.json.encode(_summary(sample))))
        self._write(f"samples/{sample['id']}_epoch_1.json", sample)

    def finish(self) -> None:
        """Write what is known at the end, and what Inspect reads first."""
        self.spec["model"] = ", ".join(sorted(self.models)) or str(self.spec["metadata"]["origin"])
        self.spec["dataset"]["samples"] = len(self.summaries)
        plan = {"name": "plan", "steps": [], "config": {}}
        self._write("_journal/start.json", {"version": LOG_VERSION, "eval": self.spec, "plan": plan})
        self._write("summaries.json", self.summaries)
        self._write("header.json", {
            "version": LOG_VERSION, "status": "success", "eval": self.spec, "plan": plan,
            "results": self._results(), "stats": self.stats,
        })  # fmt: skip

    def _results(self) -> dict[str, Any]:
        scores = [
            {
                "name": name, "scorer": "questionnaire", "scored_samples": mean.scored,
                "unscored_samples": mean.unscored, "params": {},
                "metrics": {"mean": {"name": "mean", "value": mean.total / mean.scored, "params": {}}},
                "metadata": {"note": "plain mean over sessions, no interval: see the run's report"},
            }
            for name, mean in sorted(self.means.items())
            if mean.scored
        ]  # fmt: skip
        total = len(self.summaries)
        return {"total_samples": total, "completed_samples": total - self.failed, "scores": scores}

    def _write(self, name: str, content: Any) -> None:
        entry = zipfile.ZipInfo(name, date_time=_EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        self.archive.writestr(entry, msgspec.json.encode(content))


def _log(source: Source, folder: Path, condition: str, conditions: int) -> _Log:
    meta, origins = source.run.meta, source.survey.origins
    started, ended = _span(source)
    task_id = fingerprint([source.run.identity, condition])[:22]
    name = re.sub(r"[^A-Za-z0-9-]+", "-", condition).strip("-") or "condition"
    stamp = started.strftime("%Y-%m-%dT%H-%M-%S+00-00")
    archive = zipfile.ZipFile(folder / f"{stamp}_{name[:80]}_{task_id}.eval", "w", zipfile.ZIP_DEFLATED)
    spec = {
        "run_id": source.run.identity[:22], "eval_id": task_id, "task_id": task_id, "created": started.isoformat(),
        "task": condition, "task_version": 0, "task_args": {"experiment": meta.get("experiment")},
        "tags": ["dyad", *sorted(origins)], "dataset": {"name": meta.get("experiment"), "shuffled": False},
        "model": "", "model_args": {}, "config": {}, "packages": {"dyad": _version(meta)},
        "metadata": {
            "identity": source.run.identity, "code_version": meta.get("code_version"),
            "origin": ", ".join(sorted(origins)), "conditions_of_the_run": conditions, "note": NOTE,
        },
    }  # fmt: skip
    stats = {"started_at": started.isoformat(), "completed_at": ended.isoformat(), "model_usage": {}}
    return _Log(archive, spec, stats)


def _version(meta: dict[str, Any]) -> str:
    return str(meta.get("created_by") or "dyad unknown").removeprefix("dyad ")


def _span(source: Source) -> tuple[datetime, datetime]:
    """First and last moment of the run; of an import the moment at which it was made."""
    made = (source.run.path / RUN_FILE).stat().st_mtime
    first = made if source.survey.started is None else source.survey.started
    last = first if source.survey.ended is None else source.survey.ended
    return (
        datetime.fromtimestamp(math.floor(first), UTC),
        datetime.fromtimestamp(math.ceil(last), UTC),
    )


def _sample(transcript: Transcript, assistant: str) -> dict[str, Any]:
    course = transcript.course
    who = course["persona_id"] or course["cluster"] or course["course_id"]
    messages = list(_messages(transcript, assistant))
    sample: dict[str, Any] = {
        "id": f"{course['course_id']}.{transcript.index}",
        "epoch": 1,
        "input": f"{who}, replicate {course['replicate']}, session {transcript.index}",
        "target": "",
        "messages": messages,
        "output": _output(transcript, assistant),
        "scores": {_score_name(row): _score(row) for row in transcript.scores if row["score"] is not None},
        "metadata": metadata_of(transcript, assistant) | _unscored(transcript),
        "store": {}, "events": [], "model_usage": {}, "attachments": {},
        "uuid": fingerprint([course["course_id"], transcript.index])[:22],
    }  # fmt: skip
    if transcript.failure is not None:
        text = f"{transcript.failure['boundary']}: {transcript.failure['kind']}: {transcript.failure['message'] or ''}"
        sample["error"] = {"message": text, "traceback": "", "traceback_ansi": ""}
    return sample


def _messages(transcript: Transcript, assistant: str) -> Iterator[dict[str, Any]]:
    roles = chairs(transcript, assistant)
    for turn in transcript.turns:
        metadata: dict[str, Any] = {"turn": turn["turn"], "role": turn["role"], "speaker": turn["speaker"]}
        if turn["probe"]:
            metadata["probe"] = turn["probe"]
        for name in ("planted", "state"):
            if turn[name]:
                metadata[name] = json.loads(turn[name])
        text = turn["text"] or ""
        if len(roles) == 1 and turn["role"] != assistant:  # several chairs share the role `user`
            text = f"[{turn['role']}] {text}"
        yield {
            "id": str(turn["turn"]), "content": text, "metadata": metadata,
            "role": "assistant" if turn["role"] == assistant else "user",
        }  # fmt: skip


def _output(transcript: Transcript, assistant: str) -> dict[str, Any]:
    """The assistant's last turn, as Inspect's output of a sample."""
    last = next((turn for turn in reversed(transcript.turns) if turn["role"] == assistant), None)
    if last is None:
        return {"model": "", "choices": [], "completion": ""}
    message = {"role": "assistant", "content": last["text"] or ""}
    reason = "max_tokens" if last["finish_reason"] == "length" else "stop"
    choice = {"message": message, "stop_reason": reason}
    return {"model": last["model"] or "", "choices": [choice], "completion": message["content"]}


def _score_name(row: dict[str, Any]) -> str:
    return f"{row['instrument']} {row['scale']}, {row['respondent']}, {row['moment']}"


def _score(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("instrument", "version", "scale", "respondent", "moment", "day", "items", "missing_items", "band", "marks")
    return {"value": row["score"], "metadata": {name: row[name] for name in kept} | {"flagged": bool(row["flagged"])}}


def _unscored(transcript: Transcript) -> dict[str, Any]:
    missing = {_score_name(row): row["missing_reason"] for row in transcript.scores if row["score"] is None}
    return {"unscored": missing} if missing else {}


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    """What Inspect lists of a sample without reading it."""
    metadata = {name: value for name, value in sample["metadata"].items() if isinstance(value, str | int | float)}
    summary = {name: sample[name] for name in ("id", "epoch", "input", "target", "uuid")} | {
        "metadata": metadata,
        "scores": {name: {"value": score["value"]} for name, score in sample["scores"].items()},
        "model_usage": {}, "completed": "error" not in sample, "message_count": len(sample["messages"]),
    }  # fmt: skip
    return summary | ({"error": sample["error"]["message"]} if "error" in sample else {})

"""The tables of a dataset: what DuckDB, Polars and pandas see.

Every table is a folder `dataset/<table>/` of Parquet files. Rows are sorted by their key columns. `executions` alone
holds what clocks, machines and retries decide; all other tables of two runs of one identity on deterministic models are
byte-identical. Missing values are null with a reason beside them, never a default.
"""

import pyarrow as pa

FORMAT_VERSION = 1

_text, _int, _small, _float, _flag = pa.string(), pa.int64(), pa.int32(), pa.float64(), pa.bool_()
_word = pa.dictionary(pa.int32(), pa.string())


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in fields])


TABLES: dict[str, pa.Schema] = {
    # one row per persona of the run; `document` is the whole persona as JSON
    "personas": _schema(
        ("persona_id", _text),
        ("name", _text),
        ("fingerprint", _text),
        ("population", _text),
        ("age", _small),
        ("gender", _text),
        ("adolescent", _flag),
        ("high_risk", _flag),
        ("problem", _text),
        ("licence", _text),
        ("provenance", _text),
        ("document", _text),
    ),
    # one row per course; `cluster` is what intervals are clustered by (persona; video for imported AnnoMI), `stratum` a
    # declared grouping of imported sessions (AnnoMI: high / low), `source` the recording (`course:session`) that a
    # course was made from. `status`: ended, failed or unfinished.
    "courses": _schema(
        ("course_id", _text),
        ("condition", _text),
        ("client", _text),
        ("therapist", _text),
        ("persona_id", _text),
        ("replicate", _small),
        ("pairing_key", _text),
        ("cluster", _text),
        ("stratum", _text),
        ("origin", _text),
        ("source", _text),
        ("sessions", _small),
        ("status", _text),
    ),
    # `origin` of a course is `scripted`, `model` or `human`. `ending` is a typed reason; `ended_by` the role or null.
    "sessions": _schema(
        ("course_id", _text),
        ("session", _small),
        ("opened_by", _text),
        ("ending", _text),
        ("ended_by", _text),
        ("turns", _small),
        ("words", _int),
        ("day", _float),
        ("topic", _text),
    ),
    # `planted` and `state` are JSON objects or null; `probe` names the stimulus this turn answers or delivers, or null
    "turns": _schema(
        ("course_id", _text),
        ("session", _small),
        ("turn", _small),
        ("role", _text),
        ("speaker", _text),
        ("text", _text),
        ("words", _small),
        ("finish_reason", _text),
        ("model", _text),
        ("seed", _int),
        ("regeneration", _small),
        ("probe", _text),
        ("planted", _text),
        ("state", _text),
    ),
    # stimuli and other events of a session, in order; `payload` is JSON
    "events": _schema(
        ("course_id", _text),
        ("session", _small),
        ("turn", _small),
        ("kind", _text),
        ("name", _text),
        ("role", _text),
        ("payload", _text),
    ),
    # what a role kept of a session that was over (courses of several sessions); `weight` as in docs/courses.md
    "notes": _schema(
        ("course_id", _text),
        ("session", _small),
        ("role", _text),
        ("day", _float),
        ("kind", _text),
        ("text", _text),
        ("weight", _float),
    ),
    # the client's life outside sessions, of every course begun to its last day: where it stands (in_course, left,
    # waitlist), how many sessions were held, the life event of the week or null, its state as JSON or null
    "life": _schema(
        ("course_id", _text),
        ("week", _small),
        ("day", _float),
        ("status", _text),
        ("sessions", _small),
        ("event", _text),
        ("state", _text),
    ),
    # what the client decided between sessions; `probability` is that of `option`, `probabilities` a JSON object of all
    "decisions": _schema(
        ("course_id", _text),
        ("week", _small),
        ("day", _float),
        ("role", _text),
        ("question", _text),
        ("option", _text),
        ("probability", _float),
        ("probabilities", _text),
        ("seed", _int),
    ),
    # one row per field of a profile read out of a recorded session; `source` is course:session of the recording,
    # `number` the value on its scale where it has one; the evidence is a stretch of one of the recording's turns
    "extractions": _schema(
        ("course_id", _text),
        ("session", _small),
        ("field", _text),
        ("source", _text),
        ("transcript", _text),
        ("value", _text),
        ("number", _float),
        ("missing_reason", _text),
        ("evidence_turn", _small),
        ("evidence_start", _small),
        ("evidence_end", _small),
        ("raw_text", _text),
        ("seed", _int),
    ),
    # one row per item of an administration; `value` is the raw answer before keying, null with `missing_reason`
    "administrations": _schema(
        ("course_id", _text),
        ("session", _small),
        ("moment", _text),
        ("day", _float),
        ("instrument", _text),
        ("version", _text),
        ("form", _text),
        ("wording", _text),
        ("respondent", _text),
        ("item", _text),
        ("value", _float),
        ("most_probable", _float),
        ("expected", _float),
        ("probability", _float),
        ("outside", _float),
        ("missing_reason", _text),
        ("raw_text", _text),
        ("adapted", _flag),
        ("seed", _int),
    ),
    # one row per scale of an administration, keyed and scored; null with a reason where items are missing
    "scores": _schema(
        ("course_id", _text),
        ("session", _small),
        ("moment", _text),
        ("day", _float),
        ("instrument", _text),
        ("version", _text),
        ("respondent", _text),
        ("scale", _text),
        ("score", _float),
        ("items", _small),
        ("missing_items", _small),
        ("missing_reason", _text),
        ("band", _text),
        ("marks", _text),
        ("flagged", _flag),
    ),
    # one row per judgment; `turn` is null for session and course units; `start`/`end` are offsets in the turn's text.
    # `coder` is a coder's name or `expert`; `value` is null with `missing_reason` where there is no judgment.
    "codings": _schema(
        ("course_id", _text),
        ("session", _small),
        ("turn", _small),
        ("start", _small),
        ("end", _small),
        ("unit", _word),
        ("role", _word),
        ("codebook", _word),
        ("codebook_version", _word),
        ("code", _word),
        ("value", _word),
        ("missing_reason", _word),
        ("probability", _float),
        ("evidence_start", _small),
        ("evidence_end", _small),
        ("expected", _float),
        ("outside", _float),
        ("method", _word),
        ("coder", _word),
        ("coder_fingerprint", _word),
        ("transcript", _word),
    ),
    # the last state of courses that did not end: boundary and type, no times or hosts
    "failures": _schema(
        ("course_id", _text),
        ("session", _small),
        ("turn", _small),
        ("boundary", _text),
        ("kind", _text),
        ("message", _text),
    ),
    # everything that clocks, machines and retries decide; `scope` is call, session or attempt
    "executions": _schema(
        ("course_id", _text),
        ("session", _small),
        ("turn", _small),
        ("role", _text),
        ("scope", _text),
        ("purpose", _text),
        ("shard", _small),
        ("attempt", _small),
        ("host", _text),
        ("process", _int),
        ("started", _float),
        ("seconds", _float),
        ("retries", _small),
        ("replica", _text),
        ("model", _text),
        ("prompt_tokens", _int),
        ("cached_tokens", _int),
        ("completion_tokens", _int),
        ("cost", _float),
        ("error", _text),
    ),
}
"""Schema of every table by name."""

"""Records as bytes. What is encoded here can be decoded again, and says then what it said before.

Agents hand over numbers, texts and mappings of their own making. What JSON cannot hold (an object, half of a surrogate
pair), what it would hold as something else (NaN and the infinities become null) and what a record of that kind does not
hold (words where a number belongs) is refused before it is written, as a failure of the agent's.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from simulator.errors import SessionError
from simulator.records.journal_records import CourseEnded, Execution, Header, Opened, Record, SessionEnded, Turn

NOT_FINITE, NOT_STORABLE = "not_finite", "not_storable"
"""Kinds of the failures of an agent whose record cannot be kept."""

_OF_OURS = frozenset((Header, Opened, SessionEnded, CourseEnded, Execution))
"""Records to which no agent adds anything."""
_TEXT, _WHOLE, _NUMBER, _MAPPING = (frozenset((kind,)) for kind in (str, int, float, dict))
_FLAG = frozenset((bool, type(None)))
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)
decode_record = _decoder.decode
"""A record from its bytes.

Raises:
    msgspec.MsgspecError: the bytes are no record of this version's.
"""


def encode_record(record: Record) -> bytes:
    """A record as one line of JSON, without the line's end.

    Raises:
        SessionError: the record holds something that no journal can (`agent: not_finite`, `agent: not_storable`).
    """
    try:
        payload = _encoder.encode(record)
        if type(record) in _OF_OURS:
            return payload
        if b"null" in payload:
            _refuse_not_finite(record)
        if type(record) is not Turn or not _is_plain(record):
            _decoder.decode(payload)
    except SessionError:
        raise
    except Exception as error:  # whatever an agent's object does when it is looked at
        raise SessionError("agent", NOT_STORABLE, f"{_name(record)} cannot be journalled: {readable(error)}") from error
    return payload


def _is_plain(turn: Turn) -> bool:
    """Whether a turn's parts have the very types that it declares; decoding, which tells the same, takes longer."""
    return (
        _TEXT.issuperset(map(type, (turn.text, turn.speaker, turn.model, turn.finish_reason)))
        and _WHOLE.issuperset(map(type, (turn.seed, turn.regeneration)))
        and type(turn.goodbye) in _FLAG
        and (turn.planted is None or _MAPPING.issuperset(map(type, turn.planted.values())))
        and (turn.state is None or _NUMBER.issuperset(map(type, turn.state.values())))
    )


def readable(said: object, most: int = 300) -> str:
    """What an error (or anything else) says, as text that can be written anywhere, cut to a length."""
    return str(said)[:most].encode("utf-8", "replace").decode()


def _refuse_not_finite(record: Record) -> None:
    for place, value in _floats(msgspec.to_builtins(record), ""):
        if not math.isfinite(value):
            raise SessionError("agent", NOT_FINITE, f"{_name(record)}{place} is {value}; only finite numbers are kept")


def _floats(value: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _floats(part, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _floats(part, f"{place}.{index}")


def _name(record: Record) -> str:
    role = getattr(record, "role", None) or getattr(record, "respondent", None)
    name = str(type(record).__struct_config__.tag)
    return f"{role}: {name}" if role else name

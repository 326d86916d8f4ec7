"""One line of a chat file: a session's messages with the roles of the cast, and what is said about the session.

Three forms are read: `{"messages": [{"role", "content"}], "metadata": {...}}` as `dyad export RUN chat` and OpenAI's
tools write it, `{"conversations": [{"from", "value"}]}` as ShareGPT does, and a bare list of either kind of message.
Keys beside the messages count as metadata. Nothing is dropped and nothing is guessed: what cannot be read is one line
that says where.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.errors import UserError, nearest

LEFT_OUT = "-"
"""In a mapping of roles: messages of this role are left out, and counted."""

ROLES: Mapping[str, str] = {
    "user": "client", "human": "client", "client": "client",
    "assistant": "therapist", "gpt": "therapist", "therapist": "therapist",
}  # fmt: skip
"""Who speaks, by the file's word, where neither the line nor the user says otherwise."""

COURSE_TEXTS = ("condition", "client", "therapist", "persona", "pairing_key", "cluster", "stratum")
SESSION_TEXTS = ("opened_by", "ending", "ended_by", "topic")
STATUSES = ("ended", "failed", "unfinished")
KNOWN = frozenset({"course", "session", "replicate", "origin", "status", "day", "roles", *COURSE_TEXTS, *SESSION_TEXTS})
"""Keys of the metadata that have a column; others are kept beside the session as they are."""

_MESSAGES = ("messages", "conversations", "conversation")
_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ChatLine:
    """One session: (role, text) by turn, metadata with a column, the rest of it, how many messages were left out."""

    messages: list[tuple[str, str]]
    known: dict[str, Any]
    extra: dict[str, Any]
    left_out: int


def parse_roles(text: str) -> dict[str, str]:
    """`user=client,assistant=therapist,system=-` as a mapping.

    Raises:
        UserError: it is not understood.
    """
    found: dict[str, str] = {}
    for entry in text.split(","):
        word, equals, role = (part.strip() for part in entry.partition("="))
        if not word or not equals or not (role == LEFT_OUT or _ROLE_NAME.fullmatch(role)):
            raise UserError(
                f"--roles: '{entry}' is not understood; write WORD=ROLE,... (user=client, system=- leaves out)"
            )
        if word in found:
            raise UserError(f"--roles: '{word}' stands twice")
        found[word] = role
    return found


def parse_line(where: str, line: bytes, roles: Mapping[str, str]) -> ChatLine:
    """Read one line.

    Args:
        where: file and line, for messages.
        line: its bytes.
        roles: the user's mapping of the file's words to roles; it goes before the line's own.

    Raises:
        UserError: not UTF-8, not JSON, no session, or a role that nobody maps.
    """
    messages, metadata = _parts(where, _decoded(where, line))
    own = _own_roles(where, metadata)
    spoken: list[tuple[str, str]] = []
    left_out = 0
    for number, message in enumerate(messages):
        place = f"{where}, message {number}"
        role = _role(place, message, roles, own)
        if role == LEFT_OUT:
            left_out += 1
        else:
            spoken.append((role, _text(place, message)))
    if not spoken:
        raise UserError(f"{where}: no messages; a session needs at least one")
    known = {name: value for name, value in metadata.items() if name in KNOWN and name != "roles"}
    _check_known(where, known)
    extra = {name: value for name, value in metadata.items() if name not in KNOWN}
    return ChatLine(spoken, known, extra, left_out)


def _decoded(where: str, line: bytes) -> Any:
    try:
        return msgspec.json.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8; save the file as UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        whole = " (a file that is one JSON array: write one element per line, `jq -c '.[]' FILE`)"
        hint = whole if line.lstrip()[:1] == b"[" else "; a session is one line"
        raise UserError(f"{where}: not valid JSON: {error}{hint}") from None


def _parts(where: str, content: Any) -> tuple[list[Any], dict[str, Any]]:
    """The messages, and the keys beside them together with the metadata."""
    if isinstance(content, list):
        if content and isinstance(content[0], dict) and any(name in content[0] for name in _MESSAGES):
            raise UserError(f"{where}: a list of sessions; write one session per line (`jq -c '.[]' FILE`)")
        content = {"messages": content}
    if not isinstance(content, dict):
        raise UserError(f"{where}: an object with 'messages' is expected")
    name = next((name for name in _MESSAGES if name in content), None)
    if name is None:
        raise UserError(
            f"{where}: no key 'messages' or 'conversations' (keys: {', '.join(map(str, content)) or 'none'})"
        )
    if not isinstance(content[name], list):
        raise UserError(f"{where}: '{name}' is not a list of messages")
    beside = {key: value for key, value in content.items() if key not in (name, "metadata")}
    metadata = content.get("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise UserError(f"{where}: 'metadata' is not an object")
    for key in beside.keys() & metadata.keys():
        if beside[key] != metadata[key]:
            raise UserError(f"{where}: '{key}' stands beside the messages and in 'metadata' with another value")
    return content[name], beside | metadata


def _own_roles(where: str, metadata: dict[str, Any]) -> dict[str, str] | None:
    own = metadata.get("roles")
    if own is None:
        return None
    if not isinstance(own, dict) or not all(
        isinstance(role, str) and _ROLE_NAME.fullmatch(role) for role in own.values()
    ):
        raise UserError(f'{where}: \'roles\' is not an object of roles, as in {{"assistant": "therapist"}}')
    return own


def _role(place: str, message: Any, roles: Mapping[str, str], own: Mapping[str, str] | None) -> str:
    if not isinstance(message, dict):
        raise UserError(f"{place}: an object with 'role' and 'content' is expected")
    word = message.get("role", message.get("from"))
    if not isinstance(word, str):
        raise UserError(f"{place}: no 'role' (or 'from')")
    name = message.get("name")
    if word in roles:
        return roles[word]
    if own is not None:
        if word in own:
            return own[word]
        if isinstance(name, str) and _ROLE_NAME.fullmatch(name):
            return name
    if word in ROLES:
        return ROLES[word]
    choices = {**ROLES, **roles, **(own or {})}
    raise UserError(
        f"{place}: unknown role '{word}'{nearest(word, choices)}; --roles {word}=ROLE, or {word}=- leaves it out"
    )


def _text(place: str, message: dict[str, Any]) -> str:
    key = "content" if "content" in message else "value"
    content = message.get(key)
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                kind = part.get("type") if isinstance(part, dict) else part
                raise UserError(f"{place}: a part of type '{kind}'; sessions are text")
        return "".join(part["text"] for part in content)
    raise UserError(f"{place}: no text in '{key}'")


def _check_known(where: str, known: dict[str, Any]) -> None:
    for name in (*COURSE_TEXTS, *SESSION_TEXTS, "course", "origin"):
        if not isinstance(known.get(name), str | None):
            raise UserError(f"{where}: metadata '{name}' is not a text; rename the key where it means something else")
        if known.get(name) == "" and name != "topic":
            raise UserError(f"{where}: metadata '{name}' is empty; leave it out, or give it a value")
    for name in ("session", "replicate"):
        value = known.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
            raise UserError(f"{where}: metadata '{name}' is not a whole number from 0 on; rename the key otherwise")
    day = known.get("day")
    if day is not None and (isinstance(day, bool) or not isinstance(day, int | float) or not math.isfinite(day)):
        raise UserError(f"{where}: metadata 'day' is not a number of days")
    if "ending" in known and known["ending"] is None:
        given = next((name for name in ("day", *SESSION_TEXTS) if known.get(name) is not None), None)
        if given:
            raise UserError(
                f"{where}: metadata '{given}' of a session that did not end ('ending' is null); give its ending"
            )
    if known.get("status", "ended") not in STATUSES:
        status = str(known["status"])
        raise UserError(f"{where}: metadata 'status': '{status}'{nearest(status, STATUSES)}")

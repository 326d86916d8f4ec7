"""Fingerprints: what is the same has the same one, on every machine and in every process."""

import hashlib
from typing import Any

import msgspec


def canonical(value: Any) -> bytes:
    """JSON bytes with sorted keys: equal values give equal bytes whatever the order they were built in."""
    return msgspec.json.encode(value, order="deterministic")


def fingerprint(value: Any) -> str:
    """32 hexadecimal characters that stand for `value` (anything JSON can hold)."""
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


def text_fingerprint(text: str | bytes) -> str:
    """32 hexadecimal characters that stand for a text or the content of a file."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.blake2b(data, digest_size=16).hexdigest()

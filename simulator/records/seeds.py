"""Seeds are derived, never drawn: a stable hash of where in a study the randomness is used.

`derive_seed` hashes (pairing key, session, turn, role, purpose, regeneration); `Draws` turns one seed into as many
uniform numbers as a turn needs. Both are defined by 64-bit integer arithmetic alone (splitmix64 over a blake2b key), so
they are the same on every machine, Python version and PYTHONHASHSEED, and `uniforms` computes them for whole arrays of
seeds at once. A seed never depends on a stream's position: resuming, retrying and reordering change nothing.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_A = 0xBF58476D1CE4E5B9
_MIX_B = 0x94D049BB133111EB
_UNIT = 2.0**-53

UInt64Array = npt.NDArray[np.uint64]


def mix64(value: int) -> int:
    """The splitmix64 finalizer of Steele, Lea & Flood (OOPSLA 2014): a bijection on 64-bit integers."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * _MIX_A) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_B) & _MASK
    return value ^ (value >> 31)


def mix64_array(value: UInt64Array) -> UInt64Array:
    """`mix64` of every element; shape is kept."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(_MIX_A)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(_MIX_B)
    return value ^ (value >> np.uint64(31))


@lru_cache(maxsize=65536)
def key64(text: str) -> int:
    """A 64-bit key for a name: the first eight bytes of its blake2b hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def session_key(pairing_key: str, session: int) -> int:
    """The 64-bit key of one session, from which the seeds of its turns are mixed. `session` counts from 0."""
    return mix64(key64(pairing_key) ^ mix64(session + 1))


def turn_seed(key: int, turn: int, role: str, purpose: str, regeneration: int = 0) -> int:
    """The seed inside a session whose `session_key` is known; see `derive_seed`."""
    value = mix64(key ^ ((turn + 1) * _GOLDEN))
    value = mix64(value ^ key64(role))
    value = mix64(value ^ key64(purpose))
    return mix64(value ^ ((regeneration + 1) * _GOLDEN)) >> 11


def turn_seed_array(keys: UInt64Array, turn: int, role: str, purpose: str, regeneration: int = 0) -> UInt64Array:
    """`turn_seed` for an array of session keys; same shape, same numbers."""
    value = mix64_array(keys ^ np.uint64(((turn + 1) * _GOLDEN) & _MASK))
    value = mix64_array(value ^ np.uint64(key64(role)))
    value = mix64_array(value ^ np.uint64(key64(purpose)))
    return mix64_array(value ^ np.uint64(((regeneration + 1) * _GOLDEN) & _MASK)) >> np.uint64(11)


def derive_seed(pairing_key: str, session: int, turn: int, role: str, purpose: str, regeneration: int = 0) -> int:
    """A seed in [0, 2**53): exact in JSON, in a double and in every server's integer type.

    Args:
        pairing_key: the course's id, or the key that paired courses share.
        session: index of the session in the course, from 0 (-1 for what happens before the first).
        turn: index of the turn in the session, from 0 (-1 for what belongs to no turn).
        role: the role that uses the randomness.
        purpose: what for, for instance `turn`, `administration:PHQ-9:3`.
        regeneration: how many answers a guard or a schema has refused; a transport retry does not count.
    """
    return turn_seed(session_key(pairing_key, session), turn, role, purpose, regeneration)


def uniforms(seeds: UInt64Array, slot: int) -> npt.NDArray[np.float64]:
    """The `slot`-th uniform number in [0, 1) of every seed; equals `Draws(seed)`'s at the same position."""
    mixed = mix64_array(seeds + np.uint64(((slot + 1) * _GOLDEN) & _MASK))
    return (mixed >> np.uint64(11)).astype(np.float64) * _UNIT


class Draws:
    """The random numbers of one seed, in order. Cheap to make; never shared between turns."""

    __slots__ = ("_seed", "_slot")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._slot = 0

    def uniform(self) -> float:
        """The next number in [0, 1)."""
        self._slot += 1
        return (mix64(self._seed + self._slot * _GOLDEN) >> 11) * _UNIT

    def at(self, slot: int) -> float:
        """The number at a fixed position, independent of how many were taken before."""
        return (mix64(self._seed + (slot + 1) * _GOLDEN) >> 11) * _UNIT

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        return int(self.uniform() * n)

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`, each equally likely."""
        return options[int(self.uniform() * len(options))]

    def weighted(self, options: Sequence[T], cumulative: Sequence[float]) -> T:
        """One of `options` by cumulative weights whose last entry is the total."""
        return options[min(bisect_right(cumulative, self.uniform() * cumulative[-1]), len(options) - 1)]

    def normal(self) -> float:
        """A standard normal number (Box-Muller, two uniforms)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return radius * math.cos(2.0 * math.pi * self.uniform())

"""Seeds are functions of place, equal in scalar and array arithmetic and under every hash seed."""

import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.records.fingerprints import fingerprint
from simulator.records.seeds import Draws, derive_seed, session_key, turn_seed, turn_seed_array, uniforms

places = st.tuples(st.text(max_size=20), st.integers(-1, 30), st.integers(-1, 500), st.sampled_from(["client", "x"]))


def test_known_values_never_change() -> None:
    assert derive_seed("course", 0, 0, "client", "turn") == 7914212191136300
    assert Draws(7).uniform() == Draws(7).at(0)


@given(st.lists(places, min_size=2, max_size=30, unique=True))
def test_places_do_not_share_seeds(where: list[tuple[str, int, int, str]]) -> None:
    seeds = [derive_seed(key, session, turn, role, "turn") for key, session, turn, role in where]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**53 for seed in seeds)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=8), st.integers(0, 300), st.integers(0, 40))
def test_arrays_and_scalars_agree(keys: list[str], turn: int, slot: int) -> None:
    sessions = [session_key(key, 1) for key in keys]
    seeds = turn_seed_array(np.array(sessions, dtype=np.uint64), turn, "client", "turn")
    assert seeds.tolist() == [turn_seed(key, turn, "client", "turn") for key in sessions]
    assert uniforms(seeds, slot).tolist() == [Draws(int(seed)).at(slot) for seed in seeds]


def test_uniforms_look_uniform() -> None:
    seeds = np.array([derive_seed("c", 0, turn, "client", "turn") for turn in range(4000)], dtype=np.uint64)
    numbers = uniforms(seeds, 0)
    assert abs(numbers.mean() - 0.5) < 0.02
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 50  # chi-square, 19 df: p about 1e-4


def test_nothing_depends_on_the_hash_seed() -> None:
    code = (
        "from simulator.records.seeds import derive_seed; from simulator.records.fingerprints import fingerprint;"
        "print(derive_seed('a', 1, 2, 'client', 'turn'), fingerprint({'b': 1, 'a': [1, {'y': 2, 'x': 3}]}))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=300,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(outputs) == 1


def test_order_of_keys_does_not_change_a_fingerprint() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})

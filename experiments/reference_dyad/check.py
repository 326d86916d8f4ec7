"""Print what the reference dyad plants, beside what it was meant to: shares, spread, lengths, states.

    python experiments/reference_dyad/check.py [--personas 1000] [--sessions 30] [--json]

Clients are drawn from the shipped population `general`, root seed 0. Sessions are unprobed; nothing is coded: the
planted process itself is counted.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np

from simulator.agents.scripted.batch import COUNTED, PlantedCounts, simulate_planted
from simulator.agents.scripted.codes import BEHAVIOURS, LIVE_WHEN, OUTCOMES, TALKS
from simulator.agents.scripted.plan import DEPENDENCE_C, SITUATIONS
from simulator.agents.scripted.policies import policy_names
from simulator.agents.scripted.tables import numbers
from simulator.analysis.coverage_pool import PlantedBehaviour, Pool, spreads
from simulator.personas.population import load_population, sample_traits
from simulator.records.seeds import mix64_array
from simulator.resources import resource_root

SPREAD_POLICIES = ("mi_consistent", "advice_giving", "companion")
CODES = tuple(name for name in COUNTED if name not in SITUATIONS and name not in OUTCOMES)


def simulate(personas: int, sessions: int) -> dict[str, PlantedCounts]:
    """Every policy on the same clients; shape of each array (personas, sessions)."""
    population = load_population(resource_root("personas") / "populations" / "general.yaml")
    traits = sample_traits(population, personas, 0)
    ids = [f"{population.name}-{index}" for index in range(personas)]
    found = {}
    for number, policy in enumerate(policy_names()):
        first = np.uint64(number * personas * sessions)
        keys = mix64_array(first + np.arange(personas * sessions, dtype=np.uint64)).reshape(personas, sessions)
        found[policy] = simulate_planted(traits, ids, policy, keys)
    return found


def shares(found: dict[str, PlantedCounts]) -> dict[str, dict[str, float]]:
    """Pooled share of live units, per code and policy."""
    return {
        code: {p: float(c.counts[code].sum() / max(1, c.units(code).sum())) for p, c in found.items()}
        for code in (*CODES, *OUTCOMES, *SITUATIONS)
    }


def lengths(found: dict[str, PlantedCounts]) -> dict[str, dict[str, float]]:
    """Session lengths, words and final states per policy."""
    rows = {}
    for policy, counts in found.items():
        turns = counts.therapist_turns.astype(int) + counts.client_turns
        words = counts.therapist_words + counts.client_words
        rows[policy] = {
            "turns_p10": float(np.quantile(turns, 0.1)),
            "turns_median": float(np.median(turns)),
            "turns_p90": float(np.quantile(turns, 0.9)),
            "therapist_words": float(counts.therapist_words.sum() / counts.therapist_turns.sum()),
            "client_words": float(counts.client_words.sum() / counts.client_turns.sum()),
            "therapist_word_share": float((counts.therapist_words / words).mean()),
            "short_client_turns": float(counts.short_client_turns.sum() / counts.client_turns.sum()),
            **{f"final_{name}": float(values.mean()) for name, values in counts.final_state.items()},
        }
    return rows


def spread(found: dict[str, PlantedCounts]) -> list[dict[str, Any]]:
    """Logit SDs between sessions, their part between personas, and persona x policy, by the coverage study's own code.

    Conditional codes are left out: many sessions have no live unit of theirs.
    """
    codes = [code for code in CODES if code not in LIVE_WHEN]
    behaviours = tuple(
        PlantedBehaviour(
            code,
            "client" if code in TALKS or code in DEPENDENCE_C else "therapist",
            "annomi" if code in BEHAVIOURS or code in TALKS else "other",
        )
        for code in codes
    )
    chosen = [found[policy] for policy in SPREAD_POLICIES]
    pool = Pool(
        SPREAD_POLICIES,
        behaviours,
        np.array([[counts.counts[code] for code in codes] for counts in chosen]),
        np.array([[np.maximum(counts.units(code), 1) for code in codes] for counts in chosen]),
        np.array([counts.therapist_turns + counts.client_turns for counts in chosen]),
    )
    return spreads(pool)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--personas", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = simulate(arguments.personas, arguments.sessions)
    result = {
        "shares": shares(found),
        "lengths": lengths(found),
        "spread": spread(found),
        "annomi_spread": numbers()["spread"],
    }
    if arguments.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        return 0
    out = sys.stdout.write
    names = list(found)
    out("share of live units, %".ljust(30) + "".join(name[:12].rjust(14) for name in names) + "\n")
    for code, row in result["shares"].items():
        out(code.ljust(30) + "".join(f"{100 * row[name]:14.2f}" for name in names) + "\n")
    for line in next(iter(result["lengths"].values())):
        out(line.ljust(30) + "".join(f"{result['lengths'][name][line]:14.3f}" for name in names) + "\n")
    out("\nlogit SD".ljust(31) + "policy".rjust(16) + "   share sessions personas part persona-x-policy  AnnoMI\n")
    for row in result["spread"]:
        human = result["annomi_spread"].get(row["behaviour"], {}).get("logit_sd", "")
        part, cross = row["persona_share"], row["persona_policy_sd"]
        out(
            f"{row['behaviour']:30}{row['policy']:>16}{row['share']:8.3f}{row['between_session_sd']:9.2f}"
            f"{row['between_persona_sd']:9.2f}{part if part is None else round(part, 2)!s:>5}"
            f"{cross if cross is None else round(cross, 2)!s:>17}{human!s:>8}\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

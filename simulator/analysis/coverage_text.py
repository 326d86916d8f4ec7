"""The result of `run_coverage` as lines for people: every figure with its number of clusters and repetitions."""

from collections.abc import Mapping
from typing import Any


def coverage_lines(result: Mapping[str, Any]) -> list[str]:
    """A table of all rows, then the summary."""
    lines = [
        f"{'behaviour':<28}{'under':<36}{'estimand':<16}{'personas':>9}{'truth':>9}{'coverage':>10}{'+-2 SE':>8}"
        f"{'plain t':>9}  flag"
    ]
    for row in result["rows"]:
        flag = f"too few clusters in {100 * row['flagged_share']:.0f} %" if row["flagged"] else ""
        lines.append(
            f"{row['behaviour']:<28}{row['policy']:<36}{row['estimand']:<16}{row['personas']:>9}{row['truth']:>9.4f}"
            f"{row['coverage']:>10.4f}{2 * row['monte_carlo_error']:>8.4f}{row['plain_t_coverage']:>9.4f}  {flag}"
        )
    return [*lines, "", *_pool(result), "", *_spread(result["heterogeneity"]), "", *_summary(result)]


def _pool(result: Mapping[str, Any]) -> list[str]:
    pool = result["pool"]
    near = ", ".join(f"{key}: {item['row']} {item['share']:.4f}" for key, item in pool["nearest_to_nominal"].items())
    worst = max(pool["standard_error_of_truth"].items(), key=lambda item: item[1])
    return [
        f"pool: {pool['personas']} personas x {pool['sessions_per_persona']} sessions under each of "
        f"{', '.join(pool['policies'])}; median {pool['median_turns']:.0f} turns",
        f"rows nearest to the asked shares: {near}",
        "truth is the pool's own mean, exactly; as an estimate of the population file's expectation its standard error "
        f"is at most {worst[1]:.4f} ({worst[0]})",
    ]


def _spread(brief: Mapping[str, Any]) -> list[str]:
    lines = []
    for role in ("therapist", "client"):
        found = brief.get(f"{role}_between_session_sd")
        if found:
            low, high = found["range"]
            human = found["annomi_range"]
            lines.append(
                f"between-session logit SD of {role} behaviours: {low:.2f}-{high:.2f} (AnnoMI, high quality: "
                f"{human[0]:.2f}-{human[1]:.2f})"
            )
    lines.append(
        f"personas' part of that variance: median {brief['median_persona_share']:.2f}; persona x policy SD: median "
        f"{brief['median_persona_policy_sd']:.2f}"
    )
    return lines


def _summary(result: Mapping[str, Any]) -> list[str]:
    alone = result["recovery"]["self_contrasts"]
    shares = ", ".join(f"{100 * value:.1f} % ({name})" for name, value in alone["significant"].items())
    verdict = "all" if result["within_band"] else f"all but {len(result['outside_band'])}"
    return [
        f"a policy against itself is significant in {shares} of {alone['repetitions']} repetitions",
        f"population: coverage {result['worst_population_coverage']:.4f} to {result['best_population_coverage']:.4f}; "
        f"these personas: {result['worst_fixed_coverage']:.4f} to {result['best_fixed_coverage']:.4f}",
        f"{verdict} of {result['unflagged_rows']} rows without flag lie in {result['band'][0]}-{result['band'][1]}, "
        f"give or take two Monte Carlo standard errors ({result['repetitions']} repetitions at "
        f"{' and '.join(str(n) for n in result['personas'])} personas); {result['flagged_rows']} rows are flagged",
    ]

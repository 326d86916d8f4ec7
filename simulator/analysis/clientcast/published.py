"""What was published, and what of it this study reproduces, finds otherwise, or cannot say.

Claims and departures stand in `published.yaml` with their provenance; a claim's `rule` names the function here that
decides it. A scripted study decides nothing: its figures are no reproduction of anything.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import yaml

from simulator.resources import resource_root

Found = Mapping[str, Any]
REPRODUCED, DIFFERS, UNDECIDED = "reproduced in direction", "differs", "cannot be claimed"


@lru_cache(maxsize=1)
def published() -> dict[str, Any]:
    """The file `experiments/clientcast/published.yaml`."""
    text = (resource_root("experiments") / "clientcast" / "published.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def comparison(found: Found) -> list[dict[str, Any]]:
    """One row per published claim: `claim`, `mark` (how it is known), `here` (what was found), `verdict`, `why`."""
    rows = []
    for claim in published()["claims"]:
        here, verdict, why = _RULES[claim["rule"]](found)
        if found["scripted"]:
            verdict, why = UNDECIDED, "scripted: no language model took part"
        elif found["source"] == "scripted" and claim["rule"] != "therapists":
            verdict, why = UNDECIDED, "the recorded sessions are scripted stand-ins"
        rows.append(
            {
                **{key: claim[key] for key in ("claim", "published", "mark")},
                "here": here,
                "verdict": verdict,
                "why": why,
            }
        )
    return rows


def _known_groups(found: Found) -> tuple[str, str, str]:
    groups = found["known_groups"]
    rows = [
        row
        for row in groups["rows"]
        if row["name"] in ("session outcome", "therapeutic alliance", "self-reported feelings")
    ]
    if not rows:
        return "not measured", UNDECIDED, groups["reason"] or "no sessions of both kinds were rated"
    text = "; ".join(f"{row['name']} {_interval(row['adjusted'])}" for row in rows) + " (high minus low, equal length)"
    apart = [row["adjusted"]["low"] is not None and row["adjusted"]["low"] > 0 for row in rows]
    if all(apart):
        return text, REPRODUCED, "all aspects higher after high-quality sessions, at equal length"
    return text, DIFFERS, f"{sum(apart)} of {len(apart)} aspects have an interval above zero at equal length"


def _faithfulness(found: Found) -> tuple[str, str, str]:
    groups = {row["group"]: row for row in found["faithfulness"]["groups"]}
    names = ("basic", "manner", "PHQ-9", "GAD-7", "big_five")
    shares = {name: _reached(groups[name]) for name in names if name in groups}
    text = "; ".join(f"{name} {'none' if share is None else f'{share:.2f}'}" for name, share in shares.items())
    text += " (from floor 0 to ceiling 1)"
    traits = shares.get("big_five")
    others = [share for name, share in shares.items() if name != "big_five" and share is not None]
    if traits is None or not others:
        return text, UNDECIDED, "floor and ceiling lie too close to tell fields apart"
    if min(others) > traits:
        return text, REPRODUCED, "problem, symptoms and manner are kept better than traits"
    return text, DIFFERS, "traits are kept at least as well as some of the others"


def _reached(row: Mapping[str, Any]) -> float | None:
    """Where a group lies between its floor and its ceiling; None where those are not apart."""
    session, floor, ceiling = (row[part]["estimate"] for part in ("session", "floor", "ceiling"))
    if None in (session, floor, ceiling) or ceiling - floor < 0.05:
        return None
    return float((session - floor) / (ceiling - floor))


def _models(found: Found) -> tuple[str, str, str]:
    return (
        ", ".join(found["chairs"]["client"]),
        UNDECIDED,
        "one client model per study; compare studies by their figures",
    )


def _therapists(found: Found) -> tuple[str, str, str]:
    part = found["therapists"]
    own = [
        row
        for row in part["contrasts"]
        if row["instrument"] == "WAI-SR" and not {row["first"], row["second"]} & set(part["controls"])
    ]
    apart = sum(row["adjusted_p"] is not None and row["adjusted_p"] < 0.05 for row in own)
    text = f"{apart} of {len(own)} pairs of therapists differ on the WAI-SR (adjusted p < .05)"
    if not own:
        return text, UNDECIDED, "one therapist only"
    if apart:
        return text, REPRODUCED, "some therapists differ; the published ranking was not read"
    return text, DIFFERS, "no pair is told apart"


def _interval(interval: Mapping[str, Any]) -> str:
    if interval["estimate"] is None:
        return "none"
    low, high = interval["low"], interval["high"]
    limits = "no interval" if low is None else f"[{low:.2f}, {high:.2f}]"
    return f"{interval['estimate']:.2f} {limits}, {interval['clusters']} {interval['cluster']}"


_RULES: dict[str, Callable[[Found], tuple[str, str, str]]] = {
    "known_groups": _known_groups, "faithfulness": _faithfulness, "models": _models, "therapists": _therapists,
}  # fmt: skip

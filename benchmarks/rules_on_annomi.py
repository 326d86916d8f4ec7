"""What the shipped rules reach on AnnoMI, and the file that ships with them (simulator/coding/measured/).

    DYAD_DATA_DIR=... python benchmarks/rules_on_annomi.py > simulator/coding/measured/rules-annomi.yaml

The rules were written and weighed on the videos whose blake2b hash is not divisible by 5; the others were kept out of
sight until the rules were done.
"""

import hashlib
import os
from pathlib import Path

import polars as pl
import yaml

from simulator.analysis.agreement import agreement
from simulator.coding.base import code_dataset
from simulator.coding.rules import RuleCoder
from simulator.store.importers.annomi import course_id, read_annomi

HOW = (
    "Written by hand with the development videos in view, weights small integers set by hand; videos whose blake2b "
    "hash is divisible by 5 held out: their texts were not read, and no rule was decided by their figures. "
    "The reference is one expert's code per utterance."
)


class Numbers(list):
    """Printed on one line."""


def held_out(video: str) -> bool:
    """Whether the rules were written without sight of this video."""
    return int.from_bytes(hashlib.blake2b(video.encode(), digest_size=8).digest(), "big") % 5 == 0


def main() -> None:
    rows = read_annomi(Path(os.environ["DYAD_DATA_DIR"]) / "annomi" / "annomi_simple.csv").tables
    tables = {name: pl.DataFrame(rows[name], infer_schema_length=None) for name in ("courses", "turns", "codings")}
    coder = RuleCoder()
    codings = pl.concat([tables["codings"], code_dataset(tables["turns"], coder)], how="vertical_relaxed")
    kept = pl.Series([held_out(video) for video in tables["courses"]["cluster"]])
    parts = {
        "held out": tables["courses"].filter(kept),
        "development": tables["courses"].filter(~kept),
        "both": tables["courses"],
    }
    unread = set(parts["held out"]["course_id"])
    figures = []
    for part, courses in parts.items():
        here = [table.join(courses, on="course_id", how="semi") for table in (codings, tables["turns"])]
        for table in agreement(*here, reference="expert", coder=coder.name, courses=courses):
            limits = {
                f"{name}{end}": round(getattr(interval, attribute), 3)
                for name, interval in (("macro_f1", table.macro_f1), ("kappa", table.kappa))
                for end, attribute in (("", "estimate"), ("_low", "low"), ("_high", "high"))
            }
            figures.append(
                {"code": table.code, "part": part, **limits, "units": table.n, "clusters": table.kappa.clusters,
                 "cluster": table.kappa.cluster}
            )  # fmt: skip
    sessions, videos = len(tables["courses"]), tables["courses"]["cluster"].n_unique()
    document = {
        "coder": coder.name,
        "codebook": coder.codebook,
        "data": f"AnnoMI, shared part: {sessions} sessions of {videos} videos",
        "how": HOW,
        "figures": figures,
        "unread": Numbers(number for number in range(1000) if course_id(str(number)) in unread),
    }
    yaml.SafeDumper.add_representer(
        Numbers, lambda dumper, numbers: dumper.represent_sequence("tag:yaml.org,2002:seq", numbers, flow_style=True)
    )
    print(yaml.safe_dump(document, sort_keys=False, width=118), end="")


if __name__ == "__main__":
    main()

"""How the utterance parser's boundaries agree with MIBOT's: `dyad bench units [--json]`.

    DYAD_DATA_DIR=... dyad bench units

A turn is rebuilt by joining MIBOT's utterances of one speaker with spaces (the line ends of the original are not in the
file), parsed, and the boundaries inside it are compared. MIBOT's boundaries were made by its authors' parser, not coded
by people. Intervals resample sessions.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from simulator.cli.output import show, show_json
from simulator.coding.loaders import read_examples
from simulator.coding.loaders.mibot import turns_of
from simulator.coding.units import utterances
from simulator.errors import UserError
from simulator.statistics.clustered_agreement import cluster_interval


def compare(texts):
    """Boundaries inside a turn: those of both sides, ours, theirs; and whether the turn is parted alike."""
    joined, theirs = "", set()
    for text in texts:
        if joined:
            theirs.add(sum(not letter.isspace() for letter in joined))
            joined += " "
        joined += text
    ours = {sum(not letter.isspace() for letter in joined[:start]) for start, _ in utterances(joined)[1:]}
    return len(ours & theirs), len(ours), len(theirs), ours == theirs


def figures(counts, sessions):
    table = np.array(counts, dtype=float)

    def ratio(top, bottom):
        return lambda weights: (weights @ top) / np.maximum(weights @ bottom, 1e-9)

    both, ours, theirs, alike = table.T
    named = {
        "precision": ratio(both, ours), "recall": ratio(both, theirs), "f1": ratio(2 * both, ours + theirs),
        "turns_alike": ratio(alike, np.ones(len(alike))),
    }  # fmt: skip
    return {
        name: cluster_interval(statistic, np.array(sessions), cluster="sessions").to_dict()
        for name, statistic in named.items()
    }


def main(arguments):
    parser = argparse.ArgumentParser("dyad bench units", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    path = Path(os.environ.get("DYAD_DATA_DIR", "")) / "mibot" / "utterances.csv"
    if not path.is_file():
        raise UserError(f"dyad bench units: {path}: no such file; DYAD_DATA_DIR must name the coded sets' folder")
    examples = read_examples(path)
    report = {"sessions": len(examples.sessions)}
    for role in ("therapist", "client"):
        rows = [
            (session.group, [text.text for text in parts])
            for session in examples.sessions
            for parts in turns_of(session)
            if parts[0].role == role
        ]
        sessions = [name for name, _ in rows]
        report[role] = {
            "turns": len(rows),
            "utterances_per_turn": {
                "theirs": float(np.mean([len(texts) for _, texts in rows])),
                "ours": float(np.mean([len(utterances(" ".join(texts))) for _, texts in rows])),
            },
            **figures([compare(texts) for _, texts in rows], sessions),
        }
    if options.json:
        show_json(report)
        return 0
    for role in ("therapist", "client"):
        entry = report[role]
        per_turn = entry["utterances_per_turn"]
        show(f"{role}: {entry['turns']} turns; {per_turn['theirs']:.2f} utterances a turn, ours {per_turn['ours']:.2f}")
        for key in ("precision", "recall", "f1", "turns_alike"):
            found = entry[key]
            show(f"  {key:<12} {found['estimate']:.3f} [{found['low']:.3f}, {found['high']:.3f}]")
    show(f"{report['sessions']} sessions; intervals resample sessions; MIBOT's boundaries are its authors' parser's")
    return 0

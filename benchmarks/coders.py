"""Trained coders out of fold, beside the floor on the same folds: `dyad bench coders [--json]`.

    DYAD_DATA_DIR=... dyad bench coders --json
    DYAD_DATA_DIR=... dyad bench coders --ablation

Folds are grouped by video (AnnoMI) and by post (EPITOME); predictions are pooled over folds and scored once; figures
are means over fold seeds. The floor is rerun here: a logistic regression with balanced classes on TF-IDF of words and
word pairs; for AnnoMI also stretches of two to five characters, log length, has-"?", and the previous turn's words; for
EPITOME the response alone.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from simulator.analysis.out_of_fold import judge_fold, pool, split
from simulator.analysis.quality import counts_by_session, length_row, quality_table
from simulator.analysis.transfer import transfer_table
from simulator.cli.output import say, show, show_json
from simulator.coding.loaders import read_examples
from simulator.coding.measured import unread_sessions
from simulator.coding.people import people
from simulator.coding.rules import RuleCoder
from simulator.coding.trained.folds import fold_of_turns
from simulator.coding.trained.model import Prediction, fit
from simulator.coding.trained.recipes import PARTS, recipe_for
from simulator.coding.trained.turns import lay_out
from simulator.errors import UserError
from simulator.records.text import count_words
from simulator.statistics import agreement as stats

FILES = {"annomi": "annomi/annomi_simple.csv", "epitome": "epitome/epitome.csv"}
FLOOR_STRENGTH = {"annomi": 0.5, "epitome": 1.0}
"""C of the floor's logistic regression, as in the published floors."""


@lru_cache(maxsize=4)
def data(name, folder):
    path = Path(folder) / FILES[name]
    if not path.is_file():
        raise UserError(
            f"dyad bench coders: {path}: no such file; DYAD_DATA_DIR must name the folder with the coded sets"
        )
    return read_examples(path)


def floor(examples, training, held_out, strength):
    """Predictions of the floor for the sessions left out, by task."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    dialogue = examples.name == "annomi"
    words = {"ngram_range": (1, 2), **({"token_pattern": r"\w+(?:'\w+)*|[^\w\s]"} if dialogue else {})}
    found = {}
    for task in examples.tasks:
        sides = [lay_out(session.turns for session in part.sessions) for part in (training, held_out)]
        rows = [np.flatnonzero(side.role == task.role) for side in sides]
        values = training.values(task)[rows[0]]
        coded = values >= 0
        rows[0], values = rows[0][coded], values[coded]
        texts = [[side.turns[row].text for row in places] for side, places in zip(sides, rows, strict=True)]
        spaces = [(TfidfVectorizer(**words), texts)]
        if dialogue:
            before = [
                [side.turns[at].text if at >= 0 else "" for at in side.beside(-1)[places]]
                for side, places in zip(sides, rows, strict=True)
            ]
            spaces += [(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2), texts)]
            spaces += [(TfidfVectorizer(**words), before)]
        blocks = [(space.fit_transform(seen), space.transform(new)) for space, (seen, new) in spaces]
        if dialogue:
            blocks.append(tuple(
                csr_matrix([[np.log1p(len(text.split())), "?" in text] for text in side], dtype=float) for side in texts
            ))  # fmt: skip
        seen, new = (hstack([block[side] for block in blocks], format="csr") for side in (0, 1))
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=300).fit(seen, values)
        chances = np.zeros((len(rows[1]), len(task.values)))
        chances[:, model.classes_] = model.predict_proba(new)
        found[task.name] = Prediction(rows[1], chances.argmax(axis=1), chances, chances.argmax(axis=1))
    return found


def run(job, folder, folds_count):
    """One fold of one set: predictions of the floor, or of our coder with some parts left out."""
    kind, name, seed, fold, without = job
    examples = data(name, folder)
    folds = fold_of_turns(examples, folds_count, seed)
    if kind == "floor":
        with threadpool_limits(1):
            return floor(examples, *split(examples, folds, fold), FLOOR_STRENGTH[name])
    recipe = recipe_for(examples)
    left_out = [*recipe.without, *without]
    return judge_fold(examples, type(recipe)(**{**_fields(recipe), "without": left_out}), fold, folds)


def _fields(recipe):
    return {name: getattr(recipe, name) for name in recipe.__struct_fields__}


def judge(kinds, folder, seeds, folds, jobs, names=tuple(FILES)):
    """Pooled predictions by (kind, set, seed); `kinds` are pairs of a kind and the parts left out."""
    tasks = [
        (kind, name, seed, fold, without)
        for seed in range(seeds) for name in names for kind, without in kinds for fold in range(folds)
    ]  # fmt: skip
    waiting, found = {}, {}
    with ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as workers:
        results = (workers.map if workers else map)(partial(run, folder=folder, folds_count=folds), tasks)
        for (kind, name, seed, fold, without), result in zip(tasks, results, strict=True):
            key = (kind, without, name, seed)
            waiting.setdefault(key, {})[fold] = result
            if len(waiting[key]) < folds:
                continue
            examples = data(name, folder)
            found[key] = pool(examples, fold_of_turns(examples, folds, seed), waiting.pop(key))
            figures = "  ".join(f"{task} {macro_f1(judged):.3f}" for task, judged in found[key].items())
            say(f"fold seed {seed}, {kind}{' without ' + without[0] if without else ''}: {figures}")
    return found


def macro_f1(judged):
    labels = range(len(judged.task.values))
    return float(stats.macro_f1(stats.confusion(judged.meant, judged.given, labels)))


def table(pooled, folder, seeds):
    """The report by task."""
    report = {}
    for name in sorted({key[2] for key in pooled}):
        examples = data(name, folder)
        groups = examples.groups()
        for task in examples.tasks:
            ours = [pooled["ours", (), name, seed][task.name] for seed in range(seeds)]
            base = [pooled["floor", (), name, seed][task.name] for seed in range(seeds)]
            gains = [macro_f1(mine) - macro_f1(other) for mine, other in zip(ours, base, strict=True)]
            report[task.name] = {
                "floor": float(np.mean([macro_f1(judged) for judged in base])),
                "ours": float(np.mean([macro_f1(judged) for judged in ours])),
                **people(task.codebook, task.code).to_dict(),
                "margin": float(np.mean(gains)),
                "margin_by_seed": gains,
                "interval": interval(ours[0], groups, examples.group),
                "per_value": {
                    value: float(np.mean([per_value(judged)[place] for judged in ours]))
                    for place, value in enumerate(task.values)
                },
                "units": len(ours[0].rows),
            }
    return report


def per_value(judged):
    return stats.label_scores(stats.confusion(judged.meant, judged.given, range(len(judged.task.values))))[2]


def interval(judged, groups, cluster):
    """Macro-F1 of the first fold seed with an interval from resampling whole groups."""
    matrices, _ = stats.cluster_confusions(
        judged.meant, judged.given, range(len(judged.task.values)), groups[judged.rows]
    )  # fmt: skip
    return stats.bootstrap_interval(matrices, stats.macro_f1, cluster=cluster).to_dict()


def ablation(options, folder):
    """What each feature group buys: the macro-F1 that is lost without it."""
    report = {}
    for name in FILES:
        recipe = recipe_for(data(name, folder))
        parts = [part for part in PARTS if recipe.has(part)]
        kinds = [("ours", ()), *(("ours", (part,)) for part in parts)]
        pooled = judge(kinds, folder, options.seeds, options.folds, options.jobs, (name,))
        for task in data(name, folder).tasks:

            def mean(without, name=name, task=task, pooled=pooled):
                return float(np.mean([
                    macro_f1(pooled["ours", without, name, seed][task.name]) for seed in range(options.seeds)
                ]))  # fmt: skip

            whole = mean(())
            report[task.name] = {"ours": whole, "bought_by": {part: whole - mean((part,)) for part in parts}}
    return report


def tables(options, folder):
    """High against low quality by three coders, and the AnnoMI coder on MIBOT's counsellor."""
    examples = data("annomi", folder)
    lengths = [len(session.turns) for session in examples.sessions]
    of_turn = np.repeat(np.arange(len(lengths)), lengths)
    videos = np.array([session.group for session in examples.sessions])
    high = np.array([session.stratum == "high" for session in examples.sessions])
    roles = np.array([turn.role for session in examples.sessions for turn in session.turns])
    words = np.array([count_words(turn.text) for session in examples.sessions for turn in session.turns])
    of_words = np.bincount(of_turn, words * (roles == "therapist"), minlength=len(lengths))
    trained = judge([("ours", ())], folder, 1, options.folds, options.jobs, ("annomi",))["ours", (), "annomi", 0]
    rules = rule_values(examples)
    unread = unread_sessions("rules", "annomi", examples.session_key, [session.id for session in examples.sessions])
    report = {"sessions": len(lengths), "high": int(high.sum()), "low": int((~high).sum()), "coders": {}}
    for name in ("experts", "trained, out of fold", "rules"):
        counts = {"words": of_words.astype(float)}
        for task in examples.tasks:
            judged = trained[task.name]
            values = {"experts": judged.meant, "rules": rules[task.name][judged.rows]}.get(name, judged.given)
            counts |= counts_by_session(of_turn[judged.rows], values, task.values, len(lengths))
        report["coders"][name] = quality_table(counts, high, videos, "videos")
        if name == "rules" and unread is not None:
            kept = np.array(unread)
            own = {value: count[kept] for value, count in counts.items()}
            report["coders"]["rules, unread videos"] = quality_table(own, high[kept], videos[kept], "videos")
            report["unread"] = {"sessions": int(kept.sum()), "high": int(high[kept].sum())}
        report["length"] = length_row(counts, high, videos, "videos")
    mibot = Path(folder) / "mibot" / "utterances.csv"
    if mibot.is_file():
        report["transfer"] = transfer_table(fit(examples, recipe_for(examples)), read_examples(mibot))
    return report


def rule_values(examples):
    """What the rules say of every turn, by task, as places in the task's values; -1 for other roles."""
    coder, found, start = RuleCoder("annomi"), {}, 0
    total = sum(len(session.turns) for session in examples.sessions)
    for session in examples.sessions:
        place = {turn.turn: start + index for index, turn in enumerate(session.turns)}
        for judgment in coder.code_session(session.turns):
            found.setdefault(judgment.code, {})[place[judgment.turn]] = judgment.value
        start += len(session.turns)
    return {
        task.name: np.array([
            task.values.index(found[task.code][row]) if row in found[task.code] else -1 for row in range(total)
        ])
        for task in examples.tasks
    }  # fmt: skip


def show_tables(report):
    show(f"high ({report['high']}) against low ({report['low']}) quality; intervals resample videos; unit: utterance")
    if "unread" in report:
        own = report["unread"]
        show(
            f"the rules were written in view of all but {own['sessions']} sessions ({own['high']} of high quality): "
            f"only 'rules, unread videos' is a test of them"
        )
    rows = [("", report["length"])] + [(name, row) for name, table in report["coders"].items() for row in table]
    for name, row in rows:
        digits = 0 if not name else 2
        sides = [f"{side} {limits(row[side], digits)}" for side in ("high", "low")]
        show(f"{name:<21} {row['index']:<32} AUC {limits(row['auc'], 3)}  {'  '.join(sides)}")
    if "transfer" not in report:
        return
    found = report["transfer"]
    show(f"\nthe AnnoMI coder on MIBOT's counsellor ({found['sessions']} sessions): {found['note']}")
    for name, row in found["by_unit"].items():
        parts = "  ".join(f"{key} {limits(value, 2)}" for key, value in row.items() if key != "units")
        show(f"{name:<30} {row['units']:>6} units  {parts}")
    for title in ("agreement on its utterances", "agreement on presence in a turn"):
        entry = found[title]
        for name, codes in entry.items() if "question" not in entry else [("ours, its utterances", entry)]:
            parts = "  ".join(
                f"{code} kappa {limits(value['kappa'], 2)} F1 {limits(value['f1'], 2)}" for code, value in codes.items()
            )
            show(f"{title}: {name:<22} {parts}")


def limits(interval, digits):
    if interval["low"] is None or interval["low"] != interval["low"]:
        return f"{interval['estimate']:.{digits}f}"
    return f"{interval['estimate']:.{digits}f} [{interval['low']:.{digits}f}, {interval['high']:.{digits}f}]"


def main(arguments):
    parser = argparse.ArgumentParser("dyad bench coders", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seeds", type=int, default=5, help="fold seeds to average over (default 5)")
    parser.add_argument("--folds", type=int, default=5, help="folds (default 5)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes (default 2)")
    parser.add_argument("--ablation", action="store_true", help="leave out each part of the recipe in turn")
    parser.add_argument("--tables", action="store_true", help="high against low quality; transfer to MIBOT")
    options = parser.parse_args(arguments)
    folder = os.environ.get("DYAD_DATA_DIR")
    if not folder:
        raise UserError("dyad bench coders: DYAD_DATA_DIR is not set; it names the folder with the coded sets")
    for name in FILES:
        data(name, folder)
    if options.tables:
        report = tables(options, folder)
        show_json(report) if options.json else show_tables(report)
        return 0
    if options.ablation:
        report = ablation(options, folder)
        if options.json:
            show_json(report)
            return 0
        show(f"{'':<12}" + "".join(f"{name:>11}" for name in report))
        show(f"{'ours':<12}" + "".join(f"{entry['ours']:>11.3f}" for entry in report.values()))
        for part in PARTS:
            bought = (entry["bought_by"].get(part) for entry in report.values())
            show(f"{part:<12}" + "".join(f"{'–':>11}" if one is None else f"{one:>+11.3f}" for one in bought))
        return 0
    pooled = judge([("floor", ()), ("ours", ())], folder, options.seeds, options.folds, options.jobs)
    report = table(pooled, folder, options.seeds)
    if options.json:
        show_json(report)
        return 0
    show(f"{'':<10} {'floor':>6} {'ours':>6} {'margin':>7}  {'people (plurality, pair)'}")
    for name, entry in report.items():
        known = entry["ceiling"] is not None
        reference = f"{entry['ceiling']:.3f}, {entry['human']:.3f}" if known else entry["reason"]
        show(f"{name:<10} {entry['floor']:>6.3f} {entry['ours']:>6.3f} {entry['margin']:>+7.3f}  {reference}")
    return 0

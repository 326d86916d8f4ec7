"""Could one mistake the simulated clients for people? A classifier tries to tell them apart.

It sees what a client said in a whole session and is tested on sessions of personas and people it was not trained on.
0.5 is a coin, 1 is always right. Its AUC stands beside two others: that of length alone (mean client words per turn,
number of turns), which needs no words, and that of function words alone, because personas and people talk about
different things and topics alone give them away.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.realism_sessions import merged_turns
from simulator.errors import UserError
from simulator.records.seeds import key64, uniforms
from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.rules import MIN_CLUSTERS

if TYPE_CHECKING:
    import polars as pl

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FOLDS = 5
LEAST_SESSIONS = 20
"""Fewer sessions of either kind are not compared."""
TELLING = 12
"""How many words per side are named that gave sessions away."""
METHOD = "Obuchowski's AUC of clustered data, logit t over {cluster}"
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class _Sessions:
    """One row per session: the client's text, length features (n, 2), the cluster, and whether it is simulated."""

    texts: list[str]
    lengths: Array
    clusters: npt.NDArray[Any]
    simulated: npt.NDArray[np.bool_]


def not_run(reason: str) -> dict[str, Any]:
    """What stands in the report where the discriminator was not run."""
    return {"run": False, "reason": reason, "auc": None, "auc_length": None, "auc_function_words": None}


def discriminate(
    simulated_turns: "pl.DataFrame",
    simulated_courses: "pl.DataFrame",
    human_turns: "pl.DataFrame",
    human_courses: "pl.DataFrame",
    *,
    human: str = "people",
    seed: str = "discriminator",
    level: float = 0.95,
) -> dict[str, Any]:
    """Train and test the discriminator; classes are balanced by leaving out sessions of the larger one.

    Args:
        simulated_turns, simulated_courses: tables of a simulated run.
        human_turns, human_courses: tables of an imported run. Folds hold out whole clusters of both (personas, videos).
        human: what the human set is called.
        seed: what the choice of sessions and folds derives from.
        level: nominal coverage of the intervals.

    Returns:
        `run` (True), `human`, `sessions` of each kind, `left_out` by balancing, `folds`, the AUCs `auc` (words),
        `auc_function_words` and `auc_length`, `intervals` of the three (`words`, `function_words`, `length`), and
        `telling` words of either side; or `not_run` where there are too few sessions. Plain JSON values.

    Raises:
        UserError: the sets have fewer clusters than folds.
    """
    ours = _sessions(simulated_turns, simulated_courses, True)
    theirs = _sessions(human_turns, human_courses, False)
    least = min(len(ours.texts), len(theirs.texts))
    if least < LEAST_SESSIONS:
        return not_run(f"only {least} sessions of one kind; at least {LEAST_SESSIONS} are needed")
    for part, what in ((ours, "simulated run"), (theirs, human)):
        if len(np.unique(part.clusters)) < FOLDS:
            raise UserError(f"discriminator: the {what} has fewer than {FOLDS} clusters to hold out")
    both = _joined(_balanced(ours, least, seed), _balanced(theirs, least, seed))
    fold = np.where(both.simulated, _folds(both, True, seed), _folds(both, False, seed))
    scores = {
        "words": _text_scores(both, fold, None),
        "function_words": _text_scores(both, fold, _function_words()),
        "length": _length_scores(both, fold),
    }
    intervals = {name: auc_interval(found, both.simulated, both.clusters, level) for name, found in scores.items()}
    return {
        "run": True,
        "human": human,
        "sessions": {"simulated": least, "human": least},
        "left_out": {"simulated": len(ours.texts) - least, "human": len(theirs.texts) - least},
        "folds": FOLDS,
        "auc": intervals["words"].estimate,
        "auc_function_words": intervals["function_words"].estimate,
        "auc_length": intervals["length"].estimate,
        "intervals": {name: interval.to_dict() for name, interval in intervals.items()},
        "telling": _telling(both),
    }  # fmt: skip


def _sessions(turns: "pl.DataFrame", courses: "pl.DataFrame", simulated: bool) -> _Sessions:
    import polars as pl

    spoken = turns.filter(pl.col("probe").is_null()) if "probe" in turns.columns else turns
    rows = merged_turns(spoken)
    client = pl.col("role") == "client"
    table = (
        rows.group_by("course_id", "session", maintain_order=True)
        .agg(
            pl.col("text").filter(client).str.join("\n"), pl.col("words").filter(client).mean().alias("mean"), pl.len()
        )
        .filter(pl.col("mean") > 0)
        .join(courses.select("course_id", "cluster"), on="course_id", maintain_order="left")
    )
    lengths = np.log(np.column_stack([table["mean"].to_numpy(), table["len"].to_numpy()]).astype(np.float64))
    prefix = "simulated" if simulated else "human"
    clusters = np.array([f"{prefix}:{name}" for name in table["cluster"].to_list()])
    return _Sessions(table["text"].to_list(), lengths, clusters, np.full(len(table), simulated))


def _order(keys: list[str], seed: str) -> IntArray:
    """A random order of keys, derived from `seed` and the keys alone."""
    numbers = np.array([key64(f"{seed}:{key}") >> 12 for key in keys], dtype=np.uint64)
    return np.argsort(uniforms(numbers, 0), kind="stable")


def _balanced(part: _Sessions, n: int, seed: str) -> _Sessions:
    """`n` sessions, as evenly spread over clusters as there are sessions."""
    order = _order([f"{cluster}:{i}" for i, cluster in enumerate(part.clusters)], seed)
    seen: dict[str, int] = {}
    turn = np.zeros(len(order), dtype=np.int64)
    for at in order:
        turn[at] = seen.get(part.clusters[at], 0)
        seen[part.clusters[at]] = int(turn[at]) + 1
    chosen = np.sort(order[np.argsort(turn[order], kind="stable")][:n])
    return _Sessions(
        [part.texts[i] for i in chosen], part.lengths[chosen], part.clusters[chosen], part.simulated[chosen]
    )


def _joined(first: _Sessions, second: _Sessions) -> _Sessions:
    return _Sessions(
        first.texts + second.texts,
        np.concatenate([first.lengths, second.lengths]),
        np.concatenate([first.clusters, second.clusters]),
        np.concatenate([first.simulated, second.simulated]),
    )


def _folds(both: _Sessions, simulated: bool, seed: str) -> IntArray:
    """A fold for every session (of one kind; what stands at the others means nothing): whole clusters, even sizes."""
    names, index = np.unique(both.clusters, return_inverse=True)
    sizes = np.bincount(index[both.simulated == simulated], minlength=len(names))
    filled = np.zeros(FOLDS, dtype=np.int64)
    fold = np.zeros(len(names), dtype=np.int64)
    order = _order([str(name) for name in names], seed)
    for at in order[np.argsort(-sizes[order], kind="stable")]:
        if sizes[at]:
            fold[at] = int(np.argmin(filled))
            filled[fold[at]] += sizes[at]
    return np.asarray(fold[index], dtype=np.int64)


def _function_words() -> list[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return sorted(ENGLISH_STOP_WORDS)


def _vectorizer(vocabulary: list[str] | None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    if vocabulary is not None:
        return TfidfVectorizer(vocabulary=vocabulary, token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", min_df=2, sublinear_tf=True)


def _text_scores(both: _Sessions, fold: IntArray, vocabulary: list[str] | None) -> Array:
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(len(fold))
    for held in range(FOLDS):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        vectorizer = _vectorizer(vocabulary)
        model = LogisticRegression(C=10.0, max_iter=1000)
        model.fit(vectorizer.fit_transform([both.texts[i] for i in train]), both.simulated[train])
        scores[test] = model.decision_function(vectorizer.transform([both.texts[i] for i in test]))
    return scores


def _length_scores(both: _Sessions, fold: IntArray) -> Array:
    """Logistic regression on log length, its square among the features: people are not simply longer or shorter."""
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(len(fold))
    for held in range(FOLDS):
        train = fold != held
        centre, spread = both.lengths[train].mean(axis=0), both.lengths[train].std(axis=0)
        scaled = (both.lengths - centre) / np.where(spread > 0, spread, 1.0)
        features = np.column_stack([scaled, scaled**2])
        model = LogisticRegression().fit(features[train], both.simulated[train])
        scores[~train] = model.decision_function(features[~train])
    return scores


def _telling(both: _Sessions) -> dict[str, list[str]]:
    """The words that weigh most for either side in a model of all sessions."""
    from sklearn.linear_model import LogisticRegression

    vectorizer = _vectorizer(None)
    model = LogisticRegression(C=10.0, max_iter=1000)
    model.fit(vectorizer.fit_transform(both.texts), both.simulated)
    names, weights = vectorizer.get_feature_names_out(), model.coef_[0]
    order = np.argsort(weights, kind="stable")
    return {
        "simulated": [str(names[i]) for i in order[::-1][:TELLING]],
        "human": [str(names[i]) for i in order[:TELLING]],
    }


def auc_interval(
    scores: Array, positive: npt.NDArray[np.bool_], clusters: npt.NDArray[Any], level: float = 0.95
) -> Interval:
    """The area under the ROC curve with an interval for clustered sessions.

    Args:
        scores: higher for positives, (n,).
        positive: which sessions are positive, (n,); both kinds are there.
        clusters: whose session it is, (n,); no cluster holds both kinds.
        level: nominal coverage.

    Variance by Obuchowski (Biometrics 53, 1997), limits on the logit scale with Student's t. Fitting and testing share
    sessions across folds, which the variance does not count. A perfect separation has no interval.
    """
    from scipy.special import stdtrit

    above = scores[positive][:, None] - scores[~positive][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    auc = float(wins.mean())
    variance, n, least = 0.0, 0, len(scores)
    for parts, who in ((wins.mean(axis=1), clusters[positive]), (wins.mean(axis=0), clusters[~positive])):
        names, index = np.unique(who, return_inverse=True)
        sums = np.bincount(index, weights=parts - auc, minlength=len(names))
        m = len(names)
        variance += float((sums**2).sum()) * m / max(m - 1, 1) / len(parts) ** 2
        n, least = n + m, min(least, m)
    method = METHOD.format(cluster="clusters")
    if variance <= 1e-16 or auc in (0.0, 1.0):
        return Interval(
            estimate=auc, low=NAN, high=NAN, level=level, method=method, clusters=n, units=len(scores),
            cluster="clusters", flag="no variation",
        )  # fmt: skip
    logit, error = np.log(auc / (1 - auc)), np.sqrt(variance) / (auc * (1 - auc))
    half = float(stdtrit(least - 1, 0.5 + level / 2)) * error
    low, high = 1 / (1 + np.exp(-(logit - half))), 1 / (1 + np.exp(-(logit + half)))
    return Interval(
        estimate=auc, low=float(low), high=float(high), level=level, method=method, clusters=n, units=len(scores),
        cluster="clusters", flag=TOO_FEW_CLUSTERS if least < MIN_CLUSTERS else None,
    )  # fmt: skip

"""What is left of a run, by its journals alone: nothing is leased, written or asked."""

from simulator.store.histories import read_shard
from simulator.store.runs import RunFolder
from simulator.studies.part import Part
from simulator.studies.plan import PlanIndex
from simulator.studies.scheduler import Tally


def left_in(run: RunFolder, index: PlanIndex, shard: int, shards: int, retry_failed: bool = False) -> tuple[Tally, int]:
    """How the courses of a shard stand, without running any: the tally of those that are over, and how many are not;
    with `retry_failed` those that failed are not over.

    Raises:
        DamageError: a journal file is damaged.
    """
    tally, left = Tally(), 0
    histories = read_shard(run.journal, shard).histories
    for spec in index.within(shard, shards):
        history = histories.get(spec.course)
        if history is not None and (history.ended or (history.failure is not None and not retry_failed)):
            tally.skipped += 1
            tally.failed_before += history.failure is not None
        else:
            left += 1
    return tally, left


def standing(run: RunFolder, index: PlanIndex, shards: int) -> Tally:
    """How a whole run stands; `stopped_by` says how many courses have not ended."""
    total, left = Tally(), 0
    for shard in range(shards):
        tally, more = left_in(run, index, shard, shards)
        total.add(tally)
        left += more
    if left:
        total.stopped_by = f"{left} courses have not ended"
    return total


def unfinished_parts(
    run: RunFolder, index: PlanIndex, shards: int, parts: int, retry_failed: bool = False
) -> list[int]:
    """Which of so many parts have courses that are not over."""
    return [
        number
        for number in range(parts)
        if any(left_in(run, index, shard, shards, retry_failed)[1] for shard in Part(number, parts).shards(shards))
    ]

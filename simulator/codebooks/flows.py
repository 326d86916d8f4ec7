"""Question flows: which question follows which answer, and what the answers to a group of questions add up to.

A flow asks each of its codes at most once, so it has no circle, and every answer of every code leads to a code of the
flow or to the end; the codebook's validation sees to both.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, Field

from simulator.codebooks.parts import END, STRICT, Name, Text, Value
from simulator.errors import UserError, nearest

if TYPE_CHECKING:
    from simulator.codebooks.schema import Codebook


class _Part(BaseModel):
    model_config = STRICT


class Step(_Part):
    """One question. `branches` gives the next code for single answers, `next` the one for all others; `end` stops.

    `grade` is what the group gets at least, where the code is judged present.
    """

    code: Name
    next: Name
    branches: dict[Value, Name] = {}
    grade: Name | None = None

    def after(self, value: str) -> str:
        """The code to ask after the answer `value`, or `end`."""
        return self.branches.get(value, self.next)


class Grade(_Part):
    """A verdict on a group of questions."""

    id: Name
    name: Text


class Flow(_Part):
    """Questions in the order of asking. `grades` stand from the worst to the best; the best needs no step."""

    start: Name
    steps: Annotated[list[Step], Field(min_length=1)]
    grades: Annotated[list[Grade], Field(min_length=2)]

    def step(self, code: str) -> Step:
        """The step that asks `code`."""
        return next(step for step in self.steps if step.code == code)


class Walk(NamedTuple):
    """The codes asked, in order, and whether the end was reached or an answer was missing."""

    asked: tuple[str, ...]
    finished: bool


def walk(flow: Flow, answers: Mapping[str, str | None]) -> Walk:
    """Follow the answers from the start; stops at the first question without an answer, which is the last one asked."""
    asked: list[str] = []
    code = flow.start
    while code != END:
        asked.append(code)
        value = answers.get(code)
        if value is None:
            return Walk(tuple(asked), False)
        code = flow.step(code).after(value)
    return Walk(tuple(asked), True)


def verdicts(book: "Codebook", answers: Mapping[str, str | None]) -> dict[str, str | None]:
    """What the answers to the flow's questions add up to, by group: the worst grade found, else the best.

    None for a group none of whose graded questions was asked, and for one with a missing answer unless it already has
    the worst grade. Raises: UserError for a codebook without a flow.
    """
    flow = book.flow
    if flow is None:
        raise UserError(f"{book.name}: has no question flow")
    grades = [grade.id for grade in flow.grades]
    asked = walk(flow, answers).asked
    found: dict[str, str | None] = {}
    for group in book.groups:
        steps = [step for code in asked if (step := flow.step(code)).grade and book.code(code).group == group]
        reached, missing = [len(grades) - 1], False
        for step in steps:
            value = answers.get(step.code)
            missing = missing or value is None
            if value is not None and step.grade and book.code(step.code).present(value):
                reached.append(grades.index(step.grade))
        known = bool(steps) and (not missing or min(reached) == 0)
        found[group] = grades[min(reached)] if known else None
    return found


def flow_problem(flow: Flow, values: Mapping[str, tuple[str, ...]]) -> str | None:
    """What is wrong with a flow over codes that have these values, as `field: what`; None where it is sound."""
    asked = [step.code for step in flow.steps]
    grades = [grade.id for grade in flow.grades]
    for code in (flow.start, *asked):
        if code not in values:
            return f"flow: no code '{code}'{nearest(code, values)}"
    if flow.start not in asked:
        return f"flow.start: no step asks '{flow.start}'{nearest(flow.start, asked)}"
    targets: dict[str, set[str]] = {}
    for number, step in enumerate(flow.steps):
        where = f"flow.steps[{number}]"
        if asked.count(step.code) > 1:
            return f"{where}: '{step.code}' is asked twice"
        for value in step.branches:
            if value not in values[step.code]:
                return f"{where}.branches: '{step.code}' has no answer '{value}'{nearest(value, values[step.code])}"
        targets[step.code] = {step.next, *step.branches.values()}
        for target in sorted(targets[step.code] - {END}):
            if target not in asked:
                return f"{where}: leads to '{target}', which no step asks{nearest(target, [*asked, END])}"
        if step.grade is not None and step.grade not in grades[:-1]:
            return f"{where}.grade: no grade '{step.grade}'{nearest(step.grade, grades[:-1])}"
    circle = find_circle(targets)
    if circle:
        return f"flow: goes in a circle: {' -> '.join(circle)}"
    reached, open_ends = {flow.start}, [flow.start]
    while open_ends:
        new = targets[open_ends.pop()] - reached - {END}
        reached |= new
        open_ends += new
    never = [code for code in asked if code not in reached]
    return f"flow: no answer leads to '{never[0]}'" if never else None


def find_circle(targets: Mapping[str, set[str]]) -> list[str]:
    """One circle of a graph, its first node repeated at the end; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(targets.get(node, set())):
            found = visit(target, [*path, node])
            if found:
                return found
        done.add(node)
        return []

    for node in targets:
        circle = visit(node, [])
        if circle:
            return circle
    return []

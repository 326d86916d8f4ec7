"""The smallest instance of a JSON schema, with what is free in it decided by a seed.

Covers what structured outputs are asked for in practice: objects, arrays, strings, numbers, booleans, null, `enum`,
`const`, `anyOf`/`oneOf`/`allOf` and local `$ref`. Patterns of strings are not covered.
"""

import random
from collections.abc import Mapping
from typing import Any

_WORDS = ("open", "plain", "quiet", "early", "steady", "small", "near", "even")


def instance_of(schema: Mapping[str, Any], seed: int) -> Any:
    """A value that the schema accepts: required properties only, shortest arrays, short strings.

    Raises:
        ValueError: the schema uses something that is not covered.
    """
    return _Maker(schema, random.Random(seed)).make(schema, 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], draw: random.Random) -> None:
        self._root, self._draw = root, draw

    def make(self, schema: Any, depth: int) -> Any:
        if depth > 32:
            raise ValueError("the schema refers to itself without an end")
        if schema is True or not schema:
            return self._word({})
        if "$ref" in schema:
            return self.make(self._resolve(str(schema["$ref"])), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._draw.choice(list(schema["enum"]))
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self.make(self._draw.choice(self._shallow(schema[union])), depth + 1)
        if "allOf" in schema:
            merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                merged = _merge(merged, self._resolve(str(part["$ref"])) if "$ref" in part else part)
            return self.make(merged, depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        match kind:
            case "object":
                properties = schema.get("properties", {})
                return {name: self.make(properties.get(name, True), depth + 1) for name in schema.get("required", ())}
            case "array":
                first = [self.make(part, depth + 1) for part in schema.get("prefixItems", ())]
                more = max(0, int(schema.get("minItems", 0)) - len(first))
                return first + [self.make(schema.get("items", True), depth + 1) for _ in range(more)]
            case "string":
                return self._word(schema)
            case "integer":
                return self._integer(schema)
            case "number":
                return self._number(schema)
            case "boolean":
                return self._draw.random() < 0.5
            case "null":
                return None
        raise ValueError(f"type {kind!r} is unknown")

    def _word(self, schema: Mapping[str, Any]) -> str:
        if "pattern" in schema:
            raise ValueError("'pattern' is not covered")
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        text = self._draw.choice(_WORDS)
        while len(text) < least:
            text += " " + self._draw.choice(_WORDS)
        text = text if most is None else text[: int(most)]
        return text if not text.endswith(" ") else text[:-1] + "."

    def _integer(self, schema: Mapping[str, Any]) -> int:
        step = int(schema.get("multipleOf", 1))
        low, high = _bounds(schema, 1)
        first = -(-int(low) // step) * step
        last = int(high) // step * step
        if first > last:
            raise ValueError("no integer lies between its bounds")
        return first + step * self._draw.randint(0, (last - first) // step)

    def _number(self, schema: Mapping[str, Any]) -> float:
        low, high = _bounds(schema, 0)
        if "exclusiveMinimum" in schema or "exclusiveMaximum" in schema:
            return low + (high - low) * self._draw.uniform(0.25, 0.75)
        return round(self._draw.uniform(low, high), 3) if high - low >= 0.01 else low

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise ValueError(f"$ref {reference!r} points outside the schema")
        found: Any = self._root
        for part in reference.lstrip("#/").split("/") if reference not in ("#", "#/") else []:
            try:
                found = found[part.replace("~1", "/").replace("~0", "~")]
            except (KeyError, TypeError):
                raise ValueError(f"$ref {reference!r} points to nothing") from None
        return found

    def _shallow(self, options: list[Any]) -> list[Any]:
        """Options that end by themselves, where there are any: recursion must stop."""
        ending = [option for option in options if not (isinstance(option, dict) and "$ref" in option)]
        return ending or options


def _bounds(schema: Mapping[str, Any], exclusive_step: float) -> tuple[float, float]:
    low = schema.get("minimum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + exclusive_step
    high = schema.get("maximum")
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - exclusive_step
    if low is None:
        low = 0 if high is None or high >= 0 else high - 10
    return low, low + 10 if high is None else high


def _merge(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    merged["properties"] = {**one.get("properties", {}), **other.get("properties", {})}
    merged["required"] = [*one.get("required", ()), *other.get("required", ())]
    if not merged["properties"]:
        del merged["properties"], merged["required"]
    return merged

"""The shaper hits_misses: a map's value of two u64, hits and misses, becomes two counters."""

import json

NAME = "hits_misses"
SUMMARY = "a value of two u64, hits and misses: two counters"

# Families and where in the value their numbers lie, in bytes.
NUMBERS = {"hits": 0, "misses": 8}


def parse(options: str) -> dict:
    """What the host knows of the metric: name, help, labels. Raises ValueError with a sentence for the operator."""
    options = json.loads(options)
    metric = options.pop("metric")
    for key in options:
        raise ValueError(f"{NAME} has no option `{key}`")
    return metric


def family_names(metric: dict) -> list[str]:
    return [f"{metric['name']}_{what}_total" for what in NUMBERS]


def placements(rows: int) -> list[tuple[int, int, int]]:
    """Row, family, number: number 0 of every row goes to family 0, number 1 to family 1."""
    return [(row, index, index) for row in range(rows) for index in range(len(NUMBERS))]

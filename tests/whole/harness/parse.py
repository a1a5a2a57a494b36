"""Parses exposition bodies with prometheus_client's parsers, for the tests.

One JSON object a line in, {"format": "openmetrics" | "text", "body": str}; one a line out: {"families": [...]} or {"error": str}.
Values are text, as JSON has no infinities.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text


def parse(request):
    parser = {"openmetrics": openmetrics, "text": text}[request["format"]]
    return [
        {
            "name": family.name,
            "kind": family.type,
            "help": family.documentation,
            "samples": [[s.name, s.labels, repr(float(s.value))] for s in family.samples],
        }
        for family in parser(request["body"])
    ]


for line in sys.stdin:
    try:
        answer = {"families": parse(json.loads(line))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)

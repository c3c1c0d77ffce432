"""Counts what must become of each line of some logs: a recount that knows nothing of Floe but its promise.

Takes the names of log files; `--mended` as the first argument stands for the rule that also knows the customer by
another name. Prints lines and bytes by fate as JSON. The rule is the one of tests/processes/account.rs: a line with
the event "use" is billed if it names its customer, and quarantined if it does not, or is no JSON; no other line is
anybody's.
"""

import json
import sys

mended = sys.argv[1] == "--mended"
fates = {}


def fate(line):
    if b'"use"' not in line:
        return "ignored.no_rule" if line.strip() else "ignored.empty"
    try:
        fields = json.loads(line)
    except ValueError:
        return "quarantined.invalid_json"
    if "who" in fields or (mended and "customer" in fields):
        return "billed"
    return "quarantined.missing_customer"


for name in sys.argv[2 if mended else 1 :]:
    with open(name, "rb") as log:
        for line in log:
            lines, size = fates.get(fate(line), (0, 0))
            fates[fate(line)] = (lines + 1, size + len(line))

print(json.dumps({code: {"lines": count[0], "bytes": count[1]} for code, count in sorted(fates.items())}))

"""Prints what is not exact: `python -m tests.conformance.report [--count N] [--profile NAME] [OPERATION …]`.

For work on a rule: the first N cases (all by default) of operations (all by default) in a profile (all by default).
"""

from __future__ import annotations

import argparse

from tests.conformance.cases import FAMILIES
from tests.conformance.conformance import PROFILES, results, verdicts


def main() -> None:
    """Print one line for each operation, type and profile that is not exact, then the numbers of both."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.report")
    parser.add_argument("operations", nargs="*", choices=[[], *FAMILIES], metavar="OPERATION")
    parser.add_argument("--count", type=int, metavar="N")
    parser.add_argument("--profile", choices=PROFILES)
    given = parser.parse_args()
    profiles = PROFILES if given.profile is None else (given.profile,)
    families = [FAMILIES[op] for op in given.operations or FAMILIES]
    cases = [case for f in families for kind in f.kinds for case in f.cases(kind, given.count)]
    found = verdicts(results(cases, profiles))
    wrong = {key: text for key, text in found.items() if text != "exact"}
    for (op, kind, profile), text in wrong.items():
        print(f"{op} {kind} {profile}: {text}")
    print(f"{len(found) - len(wrong)} exact, {len(wrong)} not")


if __name__ == "__main__":
    main()

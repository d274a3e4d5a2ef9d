"""dev/kernels: boots kernels under QEMU, executes the truth programs under the monitor there, and prints the table."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.kernels import report
from tests.kernels.boot import MACHINES, cache, missing
from tests.kernels.debian import UnavailableError
from tests.kernels.plan import PLANS, execute, judge

DOCUMENT = Path(__file__).parents[2] / "docs/kernels.md"
BEGIN, END = "<!-- table: dev/kernels --write -->\n", "<!-- end of table -->"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev/kernels", description=__doc__)
    parser.add_argument("boots", nargs="*", metavar="BOOT", help="which boots (default: all; see --list)")
    parser.add_argument("--list", action="store_true", help="name the boots and end")
    parser.add_argument("--executions", type=int, default=3, metavar="N", help="of each case (default 3)")
    parser.add_argument("--again", action="store_true", help="boot nothing: judge anew what the last boots left")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="only this case; repeatable")
    parser.add_argument("--write", action="store_true", help="put the table of all stored results into docs/kernels.md")
    return parser.parse_args()


def _stored() -> list[report.Column]:
    place = cache() / "results"
    files = [place / f"{plan.label.replace('/', '_')}.json" for plan in PLANS]
    return [report.load(file) for file in files if file.exists()]


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        print(*(plan.label for plan in PLANS), sep="\n")
        return 0
    unknown = set(arguments.boots) - {plan.label for plan in PLANS}
    if unknown:
        sys.exit(f"dev/kernels: no such boot: {', '.join(sorted(unknown))} (see --list)")
    wanted = [plan for plan in PLANS if plan.label in arguments.boots or not (arguments.boots or arguments.write)]
    columns = []
    failed = False
    for plan in wanted:
        lack = missing(MACHINES[plan.machine])
        begin = time.monotonic()
        try:
            if lack is not None:
                raise UnavailableError(lack)
            take = judge if arguments.again else execute
            column = report.column(take(plan, arguments.executions, tuple(arguments.case)))
        except UnavailableError as error:
            failed = True
            print(f"{plan.label}: not booted: {error}", file=sys.stderr)
            continue
        columns.append(column)
        print(f"{plan.label}: {time.monotonic() - begin:.0f} s, {len(report.red(column))} faults", file=sys.stderr)
        if not arguments.case:
            report.save(column, cache() / "results")
    if columns:
        print(report.markdown(columns))
    if arguments.write:
        head, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{report.markdown(_stored())}\n\n{END}{rest.partition(END)[2]}")
    return 1 if failed or any(report.red(column) for column in columns) else 0


if __name__ == "__main__":
    sys.exit(main())

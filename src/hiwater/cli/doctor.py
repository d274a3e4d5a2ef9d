"""``hiwater doctor``: what this machine allows, and whether hiwater is right on it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hiwater.doctor import Diagnosis

EXIT_FINE, EXIT_UNWELL, EXIT_MISUSE = 0, 1, 2

_DESCRIPTION = """\
Finds out by trying what this machine allows, says what hiwater will therefore use and which command would enable
what is missing, and measures programs that know their own size to show how far hiwater is off.
"""
_EPILOG = """\
exit status: 0 all is well; 1 something that hiwater needs is broken, or the truth was outside the stated bounds;
2 misuse. What is limited or missing is no failure: hiwater does without.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what this machine allows, and test hiwater on programs of known size",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="FILE", help="write it to FILE as JSON; - is stdout, without the text")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the output (default: auto)"
    )
    parser.set_defaults(func=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Examines, prints, and says how it went."""
    from hiwater.cli import table_output
    from hiwater.errors import HiwaterError, MisuseError, OutputError, OutputExistsError
    from hiwater.views import doctor_json, doctor_text
    from hiwater.views.style import Color

    try:
        with table_output.open_json(args.json, args.force) as document:
            diagnosis = _examine()
            document.write(doctor_json.render(diagnosis))
            if not document.is_stdout:
                table_output.show(lambda width, paint: doctor_text.render(diagnosis, width, paint), Color(args.color))
    except HiwaterError as error:
        misused = isinstance(error, (MisuseError, OutputError, OutputExistsError))
        return table_output.complain("doctor", error, EXIT_MISUSE if misused else EXIT_UNWELL)
    return EXIT_FINE if diagnosis.healthy else EXIT_UNWELL


def _examine() -> Diagnosis:
    from hiwater.binaries import find_monitor, find_probe
    from hiwater.cli.table_output import progress
    from hiwater.doctor import LocalHost, diagnose
    from hiwater.doctor.selftest import MODES, PROGRAMS, self_test

    find_monitor()  # said before anything is measured
    probe = find_probe()
    tests = []
    progress("self-test")
    for test in self_test(probe):
        tests.append(test)
        progress(f"self-test {len(tests)}/{len(PROGRAMS) * len(MODES)}: {test.program}")
    progress("")
    return diagnose(LocalHost(probe), tests)

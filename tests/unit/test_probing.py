"""Reading what the probe reports."""

from pathlib import Path

from hiwater.probing import Report, parse_report, run_probe


def test_report_lines() -> None:
    """Key and number; what a killed probe left unfinished is dropped, not read as a smaller number."""
    assert parse_report(b"a_bytes=4096\nb=-1\nstatus=25") == {"a_bytes": 4096, "b": -1}
    assert parse_report(b"") == {}


def test_unknown_is_none() -> None:
    """A key that was not reported is unknown."""
    assert Report({"a": 0}).get("a") == 0
    assert Report({"a": 0}).get("b") is None


def test_a_probe_that_writes_more_to_stderr_than_a_pipe_holds(tmp_path: Path) -> None:
    """Nothing waits for nothing: only the end of it is kept."""
    probe = tmp_path / "probe"
    probe.write_text("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\necho end >&2\necho a=1\n")
    probe.chmod(0o755)
    report = run_probe(str(probe), ["try"])
    assert (report.values, report.exit_code, report.errors[-4:], len(report.errors) < 3000) == (
        {"a": 1},
        0,
        "xend",
        True,
    )

"""What ``hiwater doctor`` found, for machines. Sizes in bytes, unknown is null."""

from __future__ import annotations

from hiwater.doctor.model import Diagnosis

SCHEMA = "hiwater.doctor/1"


def render(diagnosis: Diagnosis) -> dict[str, object]:
    """Plain values, ready for json.dump."""
    return {
        "schema": SCHEMA,
        "healthy": diagnosis.healthy,
        "kernel": diagnosis.kernel,
        "cpus": diagnosis.cpus,
        "memory_bytes": diagnosis.memory_bytes,
        "counter_bound_bytes": diagnosis.bound_bytes,
        "checks": [
            {"name": check.name, "state": check.state.value, "detail": check.detail, "remedy": check.remedy}
            for check in diagnosis.checks
        ],
        "uses": list(diagnosis.uses),
        "self_tests": [
            {
                "program": test.program,
                "mode": test.mode,
                "passed": test.passed,
                "true_bytes": test.true_bytes,
                "peak_rss_bytes": test.peak_bytes,
                "peak_rss_lower_bytes": test.low_bytes,
                "peak_rss_upper_bytes": test.high_bytes,
                "error_bytes": test.error_bytes,
                "problem": test.problem,
            }
            for test in diagnosis.self_tests
        ],
    }

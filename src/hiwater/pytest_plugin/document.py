"""The file of ``--hiwater-json``, schema ``hiwater.pytest/1``. Keys may be added; they never change their meaning."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import pytest

from hiwater import __version__
from hiwater.pytest_plugin.data import Data

SCHEMA = "hiwater.pytest/1"


def encode(tests: Mapping[str, Data]) -> bytes:
    """In the order in which the tests ended."""
    uname = os.uname()
    document = {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "pytest_version": pytest.__version__,
        "host": {"kernel": uname.release, "machine": uname.machine},
        "tests": [{"nodeid": node_id, **data.values} for node_id, data in tests.items()],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"

"""The samples of a recording as a Parquet file, for data frames and DuckDB: the columns of the CSV, typed, with nulls
for what is unknown."""

from __future__ import annotations

import json
from array import array
from importlib import import_module
from types import ModuleType
from typing import Any

from hiwater.analysis.timeline import NO_PAGES
from hiwater.errors import MissingExtraError
from hiwater.recording.model import Recording
from hiwater.views.json_view import document
from hiwater.views.names import command_line, valid
from hiwater.views.samples import COLUMNS, image_names

_LONGEST = 1000
"""Characters of a command line; each is stored once."""


def require_pyarrow() -> tuple[ModuleType, ModuleType, ModuleType]:
    """pyarrow, its computations, its Parquet."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.compute"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("Parquet files", "pyarrow", "parquet") from None


def render(recording: Recording) -> bytes:
    """A whole file. Columns go from the recording to Arrow as they are, none becomes a list of Python numbers."""
    arrow, _, parquet = require_pyarrow()
    table = arrow.table(_columns(recording)).select([*COLUMNS, "command"])
    table = table.replace_schema_metadata(_metadata(recording))
    sink = arrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _columns(recording: Recording) -> dict[str, Any]:
    arrow, compute, _ = require_pyarrow()
    line = recording.timeline
    images = image_names(recording)
    commands = {image.number: command_line(image.arguments)[:_LONGEST] for image in recording.images}
    numbers = _numbers(arrow, line.image)
    known = compute.index_in(numbers, value_set=arrow.array(list(images), arrow.uint32()))

    def told(values: list[Any], kind: Any) -> Any:
        return arrow.array(values, kind).take(known)

    def text(values: list[str]) -> Any:
        return arrow.array(values, arrow.string()).dictionary_encode().take(known)

    def size(pages: array[int]) -> Any:
        raw = _numbers(arrow, pages)
        wide = compute.multiply(raw.cast(arrow.int64()), recording.page_size)
        return compute.if_else(compute.equal(raw, arrow.scalar(NO_PAGES, arrow.uint32())), None, wide)

    rss, anon, shmem = size(line.rss_pages), size(line.anon_pages), size(line.shmem_pages)
    files = compute.subtract(compute.subtract(rss, anon), shmem)
    pids, processes, names = zip(*images.values(), strict=True) if images else ((), (), ())
    return {
        "time_seconds": compute.divide(_signed(arrow, line.time_ns).cast(arrow.float64()), 1e9),
        "pid": told(list(pids), arrow.int32()),
        "process": told(list(processes), arrow.int64()),
        "image": numbers,
        "name": text(list(names)),
        "command": text([commands[image] for image in images]),
        "rss_bytes": rss,
        "anon_bytes": anon,
        "file_bytes": compute.max_element_wise(files, arrow.scalar(0, arrow.int64()), skip_nulls=False),
        "shmem_bytes": shmem,
        "swap_bytes": size(line.swap_pages),
        "hwm_bytes": size(line.hwm_pages),
        "page_tables_bytes": size(line.pte_pages),
        "hugetlb_bytes": size(line.hugetlb_pages),
    }


def _numbers(arrow: ModuleType, column: array[int]) -> Any:
    return arrow.Array.from_buffers(arrow.uint32(), len(column), [None, arrow.py_buffer(column)])


def _signed(arrow: ModuleType, column: array[int]) -> Any:
    return arrow.Array.from_buffers(arrow.int64(), len(column), [None, arrow.py_buffer(column)])


def _metadata(recording: Recording) -> dict[str, str]:
    """What the rows cannot say: each value is JSON."""
    figures = document(recording)
    figures.pop("processes")  # the rows have them
    figures.pop("heap")  # as long as all rows together
    return {
        "hiwater.command": json.dumps([valid(argument) for argument in recording.arguments]),
        "hiwater.host": json.dumps(figures["host"]),
        "hiwater.figures": json.dumps(figures),
    }

"""The samples of a recording as rows for other programs: CSV and JSON Lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from hiwater.analysis.process_tree import name_of
from hiwater.analysis.timeline import NO_PAGES
from hiwater.recording.model import Recording
from hiwater.views.names import valid

COLUMNS = (
    "time_seconds", "pid", "process", "image", "name",
    "rss_bytes", "anon_bytes", "file_bytes", "shmem_bytes", "swap_bytes", "hwm_bytes", "page_tables_bytes",
    "hugetlb_bytes",
)  # fmt: skip
_Row = tuple[float | int | str | None, ...]


def csv_lines(recording: Recording) -> Iterator[str]:
    """A header and a line a sample; unknown is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(recording):
        writer.writerow(row)
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def json_lines(recording: Recording) -> Iterator[str]:
    """An object a sample; unknown is null."""
    for row in _rows(recording):
        yield json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False, separators=(",", ":")) + "\n"


def _rows(recording: Recording) -> Iterator[_Row]:
    """As they were taken: an image keeps its values until its next row."""
    images = image_names(recording)
    line, page = recording.timeline, recording.page_size
    columns = (line.rss_pages, line.anon_pages, line.shmem_pages, line.swap_pages, line.hwm_pages, line.pte_pages,
               line.hugetlb_pages)  # fmt: skip
    for t_ns, image, *pages in zip(line.time_ns, line.image, *columns, strict=True):
        rss, anon, shmem, *others = (None if size == NO_PAGES else size * page for size in pages)
        file = None if rss is None or anon is None or shmem is None else max(0, rss - anon - shmem)
        pid, process, name = images.get(image, (None, None, None))
        yield t_ns / 1e9, pid, process, image, name, rss, anon, file, shmem, *others


def image_names(recording: Recording) -> dict[int, tuple[int, int, str]]:
    """Per number of an image: the pid and the number of its process, and its name."""
    pids = {process.number: process.pid for process in recording.observed_processes}
    return {
        image.number: (pids[image.process], image.process, valid(_name(recording, image.number, image.name)))
        for image in recording.images
    }


def _name(recording: Recording, number: int, name: str) -> str:
    return name if name != "?" or number else name_of(recording, recording.observed_processes[0])

"""Allocates much and holds much, as Python programs do, and knows what each of its lines holds at the peak.

    pychurn.py [SCALE]          work
    pychurn.py SCALE --truth    work, then print the truth as JSON: {"LINE": bytes held}

SCALE 800 is 200,000 records (a dict, a string, a list and integers each), their JSON, and 1.6 million turns of a loop
whose objects die at once; in between come 64 MiB in one block. So the peak is in that loop, and holds everything.

The truth is what ``sys.getsizeof`` says of the objects that live: what the interpreter asked its allocators for, as far
as objects tell it. A line holds what it, or a function that it called outside of this file, made.
"""

from __future__ import annotations

import json
import sys


def make_records(count: int) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for number in range(1000, count + 1000):  # holds: number
        name = "record number %d" % number  # holds: name  # noqa: UP031
        tags = [number, number + 1, -number]  # holds: tags
        record = {"id": number, "name": name, "tags": tags, "parent": None}  # holds: record
        records.append(record)  # holds: records
    return records


def dump(records: list[dict[str, object]]) -> str:
    return json.dumps(records)  # holds: text


def make_blob(size: int) -> bytearray:
    return bytearray(size)  # holds: blob


def temporaries(turns: int) -> int:
    total = 0
    for turn in range(turns):
        key, _, value = f"{turn:08d}={turn * 3}".partition("=")
        row = {"key": key, "parts": [key[:4], key[4:]]}
        total += len(row["parts"]) + int(value) % 7
    return total


def truth(records: list[dict[str, object]], text: str, blob: bytearray) -> dict[str, int]:
    size = sys.getsizeof
    # Since 3.11 a small integer is asked for with its padding (_PyLong_FromMedium), which getsizeof does not count.
    integer = size(1000) if sys.version_info < (3, 11) else (size(1000) + 7) // 8 * 8
    held = dict.fromkeys(("number", "name", "tags", "record"), 0)
    for record in records:
        tags = record["tags"]
        assert isinstance(tags, list)
        held["number"] += integer
        held["name"] += size(record["name"])
        held["tags"] += size(tags) + 2 * integer
        held["record"] += size(record)
    return {**held, "records": size(records), "text": size(text), "blob": size(blob)}


def lines() -> dict[str, int]:
    """Where each name is held."""
    with open(__file__, encoding="utf-8") as source:
        marked = [(number, line.split("# holds: ")) for number, line in enumerate(source, 1)]
    return {parts[1].split()[0]: number for number, parts in marked if len(parts) == 2 and parts[0].strip()}


def main() -> None:
    scale = int(sys.argv[1]) if len(sys.argv) > 1 else 800
    records = make_records(250 * scale)
    text = dump(records)
    blob = make_blob(64 * 2**20)
    total = temporaries(2000 * scale)
    if "--truth" in sys.argv:
        where, held = lines(), truth(records, text, blob)
        print(json.dumps({where[name]: size for name, size in held.items()}))
    else:
        print(len(records), len(text), len(blob), total)


if __name__ == "__main__":
    main()

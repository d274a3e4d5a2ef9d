"""What many Python programs do: reads text, makes objects of it, looks some up, sorts, sums up and writes.

    pyusual.py [LINES]

150,000 lines by default: a log is generated, parsed by a regular expression into dataclasses, grouped, sorted, counted
by word, and written as JSON and as CSV.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass

LINE = re.compile(r'(?P<host>\S+) \[(?P<time>\d+)\] "(?P<method>[A-Z]+) (?P<path>\S+)" (?P<status>\d+) (?P<size>\d+)')


@dataclass
class Request:
    host: str
    time: int
    method: str
    path: str
    status: int
    size: int


def generate(count: int) -> str:
    chance = random.Random(1)
    words = [f"word{number}" for number in range(500)]
    lines = []
    for number in range(count):
        path = "/".join(chance.choices(words, k=chance.randrange(1, 5)))
        status = chance.choice((200, 200, 200, 304, 404, 500))
        host = f"10.0.{chance.randrange(4)}.{chance.randrange(250)}"
        lines.append(f'{host} [{number}] "GET /{path}" {status} {chance.randrange(100_000)}')
    return "\n".join(lines)


def parse(text: str) -> list[Request]:
    found = []
    for line in io.StringIO(text):
        match = LINE.match(line)
        if match is None:
            continue
        part = match.groupdict()
        found.append(
            Request(
                part["host"],
                int(part["time"]),
                part["method"],
                part["path"],
                int(part["status"]),
                int(part["size"]),
            )
        )
    return found


def group(requests: list[Request]) -> dict[str, list[Request]]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.host].append(request)
    return {host: sorted(of, key=lambda one: (-one.size, one.time)) for host, of in groups.items()}


def count(requests: list[Request]) -> list[tuple[str, int]]:
    words: Counter[str] = Counter()
    for request in requests:
        words.update(word for word in request.path.split("/") if word)
    return words.most_common(20)


def write(requests: list[Request]) -> int:
    document = json.dumps([vars(request) for request in requests])
    again = json.loads(document)
    table = io.StringIO()
    writer = csv.writer(table)
    for row in again:
        writer.writerow(row.values())
    return len(document) + len(table.getvalue())


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 150_000
    requests = parse(generate(lines))
    groups = group(requests)
    print(len(requests), len(groups), count(requests)[0], write(requests))


if __name__ == "__main__":
    main()

"""memray_lines.py RECORDING FILE: what a file's lines held at the peak, as JSON; with what others made for them."""

import json
import sys
from collections import Counter

from memray import AllocatorType, FileReader

held = Counter()
with FileReader(sys.argv[1]) as reader:
    for record in reader.get_high_watermark_allocation_records(merge_threads=True):
        if record.allocator != AllocatorType.MMAP:
            lines = (line for _function, file, line in record.stack_trace() if file.endswith(sys.argv[2]))
            held[next(lines, 0)] += record.size
del held[0]
json.dump(held, sys.stdout)

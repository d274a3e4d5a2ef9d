"""Holds memory in interpreters of one process: in the first one, in three that others follow one after the other, and
in three that run at the same time, each in a thread of its own. Then ends them, and does it again."""

import os
import threading

try:
    import _interpreters as module  # 3.13 and newer
except ImportError:
    import _xxsubinterpreters as module

HELD = """import time
def hold():
    return [bytes(SIZE) for _ in range(500)]
kept = hold()
import json
"""


def run(number, size):
    failed = module.run_string(number, HELD.replace("SIZE", str(size)))
    assert failed is None, failed


def end(number):
    module.destroy(number)


def in_threads(function, arguments):
    threads = [threading.Thread(target=function, args=one) for one in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


kept = [bytes(8000) for _ in range(1000)]
for _ in range(2):
    numbers = [module.create() for _ in range(6)]
    for number in numbers[:3]:
        run(number, 12_000)
    in_threads(run, [(number, 16_000) for number in numbers[3:]])
    for number in numbers:
        end(number)
again = [bytes(20_000) for _ in range(500)]
if os.fork() == 0:
    more = [bytes(6000) for _ in range(1000)]
    os._exit(0)
os.wait()
print(len(kept), len(again))

"""Says what a program can see of its own memory, and does what interpreters find hard; prints the same each time."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import tracemalloc


def square(number):
    return number * number


def work(keep, count):
    keep.append([str(number) * 3 for number in range(count)])


def recurse(depth):
    return recurse(depth - 1) if depth else len([0] * 100_000)


def main():
    gc.collect()
    gc.disable()
    before = sys.getallocatedblocks()
    objects = [object() for _ in range(5000)]
    print("blocks", sys.getallocatedblocks() - before, len(objects))
    for _ in range(3):
        tracemalloc.start(3)
        blocks = [bytes(100) for _ in range(3000)]
        top = max(tracemalloc.take_snapshot().statistics("lineno"), key=lambda one: one.size)
        print("tracemalloc", top.traceback[0].lineno, top.size >= 3000 * 133, top.count >= 3000)
        tracemalloc.stop()
        del blocks
    sys.setrecursionlimit(20_000)
    print("recursion", recurse(5000))
    keep = []
    threads = [threading.Thread(target=work, args=(keep, 20_000 + number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("threads", sorted(map(len, keep)))
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        more = [bytes(999) for _ in range(1000)]
        os._exit(len(more) % 256)
    print("fork", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    for method in "fork", "spawn", "forkserver":
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(5)))
    print(subprocess.run([sys.executable, "-c", "print('child')"], capture_output=True, text=True).stdout.strip())
    try:
        [0] * (sys.maxsize // 8)
    except MemoryError:
        print("MemoryError")


if __name__ == "__main__":
    main()

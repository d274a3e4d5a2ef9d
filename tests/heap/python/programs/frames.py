"""Blocks of sizes that nothing else has, made at all kinds of places; prints for each the stack as the interpreter
tells it: {"SIZE": [[file, function, line], ...]}, innermost first."""

import asyncio
import functools
import json
import sys
import threading

KEEP = []
EXPECTED = {}
SIZES = iter(range(300_001, 400_000, 16))
HEAD = sys.getsizeof(b"")  # what is asked for beside the bytes


def hold():
    size = next(SIZES)
    line = (KEEP.append(bytes(size)), sys._getframe().f_lineno)[1]
    frame = sys._getframe()
    stack = []
    while frame is not None:
        code = frame.f_code
        stack.append([code.co_filename, getattr(code, "co_qualname", code.co_name), frame.f_lineno])
        frame = frame.f_back
    stack[0][2] = line
    EXPECTED[size + HEAD] = stack


def generator():
    for _ in range(2):
        hold()
        yield


def delegating():
    yield from generator()


def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        hold()


class Thing:
    def __init__(self):
        hold()

    def __getattr__(self, name):
        hold()
        return 0

    def __lt__(self, other):
        hold()
        return False

    @property
    def width(self):
        hold()
        return 1

    @staticmethod
    def static(_value=None):
        hold()

    def __enter__(self):
        hold()

    def __exit__(self, *_):
        hold()


class Nested:
    def __init__(self, depth):
        if depth:
            Nested(depth - 1)
        else:
            hold()


async def coroutine():
    hold()
    await asyncio.sleep(0)
    hold()


async def main():
    await asyncio.gather(coroutine(), coroutine())


def größe_名前_𝔉():
    hold()


def closure():
    captured = [1]

    def inner():
        hold()
        return captured

    return inner


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


hold()
list(generator())
list(delegating())
for _ in generator():
    pass
deep(60)
thing = Thing()
thing.missing  # noqa: B018
sorted([thing, thing])
thing.width  # noqa: B018
[hold() for _ in range(2)]
list(map(Thing.static, [1, 2]))
sorted([2, 1], key=lambda value: (hold(), value)[1])
(lambda: hold())()
with thing:
    pass
exec("def made():\n    hold()\nmade()")
eval("hold()")
exec(compile("\n\n\nhold()\n", "na\udcffme \u20ac.py", "exec"))
asyncio.run(main())
größe_名前_𝔉()
closure()()
decorated(hold)()
functools.partial(hold)()
try:
    raise ValueError
except ValueError:
    hold()
finally:
    hold()
thread = threading.Thread(target=hold)
thread.start()
thread.join()
json.loads("[1]", object_hook=None, parse_int=lambda text: hold())


def again():  # code objects that die; others get their addresses
    for number in range(50):
        scope = {"hold": hold}
        exec(f"def f{number}():\n{chr(10) * (number % 7)}    hold()\nf{number}()", scope)


def hot():  # and longer, until it compiles
    calls = [str] * 1999 + [lambda value: (hold(), value)[1]]
    for number in range(20_000):
        sorted([0], key=calls[number % 2000])


again()
hot()
for _ in range(10):  # until the interpreter takes its short ways
    Nested(30)
    Thing().width  # noqa: B018
    for _ in generator():
        pass
print(json.dumps(EXPECTED))

"""What the processes of a recording are called."""

from __future__ import annotations

import pytest
from tests.streams import Stream

from hiwater.recording.reader import parse
from hiwater.recording.wire import ImageFlags
from hiwater.views.names import title
from hiwater.views.process_names import ProcessName, process_names


def named(*commands: tuple[str, tuple[bytes, ...]]) -> list[ProcessName]:
    """Of processes with these names and arguments."""
    stream = Stream().facts().command(b"boss").process().image(comm=b"boss", arguments=(b"boss",))
    for number, (name, arguments) in enumerate(commands, 1):
        stream.process(number, 0, pid=100 + number)
        stream.image(number, number, comm=name.encode(), exe=b"/bin/" + name.encode(), arguments=arguments)
    found = process_names(parse(stream.data))
    return [found[number] for number in range(1, len(found))]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("postgres: checkpointer ", "", "", ""), "postgres: checkpointer"),
        (("nginx: worker process",), "nginx: worker process"),
        (("/usr/lib/chromium/chromium --type=renderer --lang=en",), "chromium --type=renderer --lang=en"),
        (("postgres", "-D", "/data"), None),
        (("prog", "", ""), None),
        (("a b", "-c"), None),
        ((), None),
        (("",), None),
    ],
)
def test_a_title(arguments: tuple[str, ...], told: str | None) -> None:
    """A sentence in the place of the arguments is what the process says of itself; ordinary arguments are not."""
    assert title(arguments) == told


def test_a_title_is_the_name() -> None:
    """Of PostgreSQL's processes, which all run one program, each is called what it says it is."""
    found = named(("postgres", (b"postgres: walwriter ", b"", b"")), ("postgres", (b"postgres: bench idle", b"")))
    assert found[0] == ProcessName("postgres: walwriter", "", "")
    assert found[1].label(40) == "postgres: bench idle"


def test_arguments_tell_apart() -> None:
    """Where several run one program, what not nearly all of them were given names each; temporary files do not, and
    one that only links does not make the options of the others their own."""
    sources = [f"{letter}.c".encode() for letter in "abcdefg"]
    calls = [("cc1", (b"cc1", b"-quiet", b"-O2", name, b"-dumpbase", name, b"/tmp/cc" + name)) for name in sources]
    found = named(*calls, ("cc1", (b"cc1", b"-quiet", b"last.o")))
    assert [one.own for one in found] == [*(name.decode() for name in sources), "last.o"]
    assert found[0].label(40) == "cc1 a.c"
    assert found[0].arguments == "-quiet -O2 a.c -dumpbase a.c /tmp/cca.c"
    assert found[0].shown_arguments(20) == "… a.c"
    assert found[0].shown_arguments(60) == found[0].arguments


def test_temporary_files_are_better_than_nothing() -> None:
    """Where nothing else differs, they are named."""
    assert [one.own for one in named(("as", (b"as", b"/tmp/1")), ("as", (b"as", b"/tmp/2")))] == ["/tmp/1", "/tmp/2"]


def test_the_only_one_of_its_name_needs_no_more() -> None:
    """Nor do those that were all given the same."""
    found = named(("ld", (b"ld", b"-o", b"x")), ("python3", (b"python3", b"a.py")), ("python3", (b"python3", b"a.py")))
    assert [one.label(30) for one in found] == ["ld", "python3", "python3"]
    assert [one.own for one in found] == ["", "", ""]


def test_names_cannot_move_the_cursor() -> None:
    """What a process calls itself is shown with escapes."""
    (found,) = named(("x", (b"evil: \x1b[2J title",)))
    assert found.name == "evil: \\x1b[2J title"


def test_a_process_that_was_never_looked_at() -> None:
    """Has the name that its parent's program gives, or none."""
    stream = Stream().facts().command(b"boss", b"-x").process().image(flags=ImageFlags.GUESSED, comm=b"", exe=b"")
    stream.process(1, 0, pid=77)
    found = process_names(parse(stream.data))
    assert found[0].label(20) == "boss"
    assert found[1] == ProcessName("?", "", "")

"""What is executed: programs, the sizes that they take, and which truths they state."""

import enum
import shlex
from dataclasses import dataclass


class Tree(enum.Enum):
    """Where the truth about the peak of the tree comes from."""

    SINGLE = "one process at a time has all the memory: the tree's peak is that of its largest image"
    COUNTED = "the processes meet at the peak, and one of them counts the distinct pages of all"


@dataclass(frozen=True)
class Case:
    """One command whose peak is known."""

    name: str
    program: str
    arguments: str = ""
    tree: Tree = Tree.SINGLE
    wrapper: tuple[str, ...] = ()
    """What executes the program inside the command: `env`, or a shell."""
    options: tuple[str, ...] = ()
    """Options of `hiwater run` that this case needs."""
    exit_status: int = 0
    at_least_mib: int = 0
    """What the truth must come to, so that a program that did not do its part is no passed test."""
    if_less: str | None = None
    """What the machine lacks when the truth is less than that."""

    def command(self, program: str) -> list[str]:
        command = [program, *self.arguments.split()]
        if self.wrapper[-1:] == ("-c",):
            return [*self.wrapper, shlex.join(command)]
        return [*self.wrapper, *command]


CASES = (
    Case("tiny static", "bare"),
    Case("tiny dynamic", "tiny"),
    Case("static", "bare", "64", at_least_mib=64),
    Case("32-bit", "bare32", "64", at_least_mib=64),
    Case("musl", "grow_musl", "64", at_least_mib=64),
    Case("steady growth", "grow", "64", at_least_mib=64),
    Case("sawtooth", "sawtooth", "64", at_least_mib=64),
    Case("5 ms spike", "spike", "64 5", at_least_mib=64),
    Case("spike of no time", "spike", "64 0", at_least_mib=64),
    Case("killed by SIGKILL", "killed", "64 kill", exit_status=137, at_least_mib=64),
    Case("killed by SIGSEGV", "killed", "64 segv", exit_status=139, at_least_mib=64),
    Case("killed by abort", "killed", "64 abort", exit_status=134, at_least_mib=64),
    Case("through env", "grow", "32", wrapper=("env",), at_least_mib=32),
    Case("through nice", "grow", "32", wrapper=("nice",), at_least_mib=32),
    Case("through bash -c", "grow", "32", wrapper=("bash", "-c"), at_least_mib=32),
    Case("fat image execs a small one", "execs", "64 4", at_least_mib=64),
    Case("small image execs a fat one", "execs", "4 64", at_least_mib=64),
    Case("five images", "execs", "8 16 64 16 8", at_least_mib=64),
    Case("16 threads", "threads", "16 4", at_least_mib=64),
    Case("leader thread exits first", "leader_exits", "64", at_least_mib=64),
    Case("thread of a fat image execs", "thread_execs", "64 4", at_least_mib=64),
    Case("thread of a small image execs", "thread_execs", "4 64", at_least_mib=64),
    Case("private file mapping", "file_map", "64", at_least_mib=64),
    Case("few faults, many pages", "file_faults", "4", at_least_mib=4),
    Case("shared memory", "shared", "anon 64", at_least_mib=64),
    Case("memfd", "shared", "memfd 48", at_least_mib=48),
    Case("huge pages", "huge_pages", "64", at_least_mib=64, if_less="transparent huge pages for madvise"),
    Case("page cache", "page_cache", "100", at_least_mib=1),
    Case("parallel children", "parallel", "4 20 150", Tree.COUNTED, at_least_mib=20),
    Case("parallel children, musl", "parallel_musl", "4 20 150", Tree.COUNTED, at_least_mib=20),
    Case("copy-on-write children", "cow", "64 4 16 300", Tree.COUNTED, at_least_mib=64),
    Case("children sharing memory", "shared_family", "3 32 150", Tree.COUNTED, at_least_mib=32),
    Case("busy maps", "busy_maps", "64 4 200", Tree.COUNTED, at_least_mib=64),
    Case("generations", "generations", "4 16 150", Tree.COUNTED, at_least_mib=64),
    Case("children one after another", "sequence", "4 24 20", Tree.COUNTED, at_least_mib=36),
    Case("daemon", "daemon", "48 50", options=("--linger", "10"), at_least_mib=48),
    Case("300 short lives and a spike", "swarm", "300 48 5", Tree.COUNTED, at_least_mib=48),
    Case("child that nobody reaps", "unreaped", "48 30", Tree.COUNTED, at_least_mib=48),
)


EXACT_CASES = (Case("below the counters' batch", "prec", "31", at_least_mib=1),)
"""What only --exact can tell: no figure that the kernel keeps shows it."""


@dataclass(frozen=True)
class Launcher:
    """Who executes hiwater."""

    name: str
    fat: str = ""
    """Arguments of programs/fat_launcher; empty: the test itself, with nothing between."""
    wrapper: tuple[str, ...] = ()
    """What stands between the fat launcher and hiwater."""

    def command(self, fat_launcher: str, command: list[str]) -> list[str]:
        if not self.fat:
            return command
        if self.wrapper[-1:] == ("-c",):
            command = [shlex.join(command)]
        return [fat_launcher, *self.fat.split(), *self.wrapper, *command]


SLIM = Launcher("slim")

FAT_LAUNCHERS = (
    Launcher("holds 800 MiB, fork", "800 holds fork"),
    Launcher("freed 800 MiB, fork", "800 freed fork"),
    Launcher("holds 800 MiB, vfork", "800 holds vfork"),
    Launcher("freed 800 MiB, vfork", "800 freed vfork"),
    Launcher("freed 800 MiB, posix_spawn", "800 freed spawn"),
    Launcher("holds 800 MiB, env", "800 holds fork", ("env",)),
    Launcher("freed 800 MiB, nice", "800 freed vfork", ("nice",)),
    Launcher("holds 800 MiB, bash -c", "800 holds vfork", ("bash", "-c")),
)

FAT_CASES = (
    *((launcher, Case("tiny static", "bare")) for launcher in FAT_LAUNCHERS),
    (FAT_LAUNCHERS[0], Case("steady growth", "grow", "32", at_least_mib=32)),
    (FAT_LAUNCHERS[3], Case("steady growth", "grow", "32", at_least_mib=32)),
)
"""The tiny one tells it best: whatever it is said to have taken above a few pages comes from the launcher."""

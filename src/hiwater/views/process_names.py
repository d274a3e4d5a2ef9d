"""What to call each process where many are listed: a title that it gave itself, or what tells it from the others that
run the same program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hiwater.analysis.process_tree import name_of
from hiwater.recording.model import Process, Recording
from hiwater.views.names import command_line, shorten, title, visible

NEARLY_ALL = 0.85
_TEMPORARY = ("/tmp/", "/var/tmp/")


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process in words that can be shown."""

    name: str
    """The program's name, or the title that the process gave itself (``postgres: checkpointer``)."""
    arguments: str
    """The arguments of its last program image, as one would type them; empty where the title took their place."""
    own: str
    """Those of its arguments that not nearly every process of that name has, each once; empty where it is the only
    one of its name, and where all have the same. Temporary files tell little: they are named where nothing else
    differs."""

    def label(self, width: int) -> str:
        """For a legend: the name, and what tells it from others of that name."""
        return shorten(f"{self.name} {self.own}" if self.own else self.name, width)

    def shown_arguments(self, width: int) -> str:
        """The arguments; where there is no room for all, those that are its own come first."""
        if len(self.arguments) <= width or not self.own:
            return shorten(self.arguments, width)
        return shorten(f"… {self.own}", width)


def process_names(recording: Recording) -> dict[int, ProcessName]:
    """By the number of the process."""
    return told_apart(
        (process.number, name_of(recording, process), _arguments(process)) for process in recording.observed_processes
    )


def told_apart(processes: Iterable[tuple[int, str, Sequence[str]]]) -> dict[int, ProcessName]:
    """By their numbers; each comes with its name and its arguments, of which the first is the program again."""
    found: dict[int, ProcessName] = {}
    alike: dict[str, list[tuple[int, Sequence[str]]]] = {}
    for number, name, arguments in processes:
        told = title(arguments)
        if told is not None:
            found[number] = ProcessName(visible(told), "", "")
        else:
            alike.setdefault(visible(name), []).append((number, arguments[1:]))
    for name, members in alike.items():
        common = _common(arguments for _, arguments in members)
        for number, arguments in members:
            own = tuple(dict.fromkeys(argument for argument in arguments if argument not in common))
            lasting = tuple(argument for argument in own if not argument.startswith(_TEMPORARY)) or own
            found[number] = ProcessName(
                name, command_line(arguments), command_line(lasting) if len(members) > 1 else ""
            )
    return found


def _arguments(process: Process) -> tuple[str, ...]:
    return process.images[-1].arguments if process.images else ()


def _common(lists: Iterable[Sequence[str]]) -> set[str]:
    """What nearly all that have any have: one call of a compiler that only links still leaves its options common to
    the others. Nothing read of a process says nothing of the rest."""
    known = [set(arguments) for arguments in lists if arguments]
    counts = Counter(argument for arguments in known for argument in arguments)
    return {argument for argument, count in counts.items() if count >= NEARLY_ALL * len(known)}

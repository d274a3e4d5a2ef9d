"""The list of methods."""

from hiwater.methods import Interface, Launcher, Start, Tools, catalogue

ALL = Tools(gnu_time="/usr/bin/time", env="/usr/bin/env")


def test_every_way_from_a_launcher_that_holds_and_from_one_that_has_freed() -> None:
    """fork, vfork, posix_spawn, a wrapper and the first line are tried with the ballast held and with it freed."""
    for launcher in (Launcher.HOLDS, Launcher.FREED):
        ways = [(m.start, m.interface) for m in catalogue(ALL) if m.launcher is launcher][:5]
        assert ways == [
            (Start.FORK, Interface.WAIT4),
            (Start.VFORK, Interface.WAIT4),
            (Start.SPAWN, Interface.WAIT4),
            (Start.SPAWN, Interface.WAIT4_WRAPPED),
            (Start.SPAWN, Interface.FIRST_LINE),
        ]


def test_every_interface_is_there() -> None:
    """No way to get a figure is left out."""
    assert {method.interface for method in catalogue(ALL)} == set(Interface)


def test_keys_are_unique() -> None:
    """A key of the JSON names one method."""
    keys = [method.key for method in catalogue(ALL)]
    assert len(keys) == len(set(keys))


def test_what_is_not_installed_is_left_out() -> None:
    """Without GNU time and env the other methods remain."""
    missing = {Interface.GNU_TIME, Interface.WAIT4_WRAPPED}
    assert {method.interface for method in catalogue(Tools(None, None))} == set(Interface) - missing

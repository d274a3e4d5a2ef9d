"""Stacks merged: trees for flame graphs, and call graphs."""

from __future__ import annotations

from tests.unit.heap.profiles import profile

from hiwater.heap.graph import call_graph
from hiwater.heap.model import Kind
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.sites import By
from hiwater.heap.tree import Direction, Node, tree

ROWS = (
    "main > load > parse: 300",
    "main > load > parse > malloc: 30",
    "main > load: 20",
    "main > index > parse: 50",
    "main > index > map: 500 mmap",
)


def lines(node: Node) -> list[str]:
    return [f"{'  ' * depth}{each.name} {each.total_bytes} {each.self_bytes}" for depth, each in node.walk()]


def test_a_tree_merges_stacks_from_the_root() -> None:
    """Its root is the whole of what is in use; what the program mapped is another kind."""
    told, snapshot = profile(*ROWS)
    assert lines(tree(told, snapshot)) == [
        "all 400 0",
        "  main 400 0",
        "    load 350 20",
        "      parse 330 300",
        "        malloc 30 30",
        "    index 50 0",
        "      parse 50 50",
    ]
    assert lines(tree(told, snapshot, kinds={Kind.MMAP}))[-1] == "      map 500 500"


def test_a_tree_from_the_sites_is_inverted() -> None:
    """First who holds, then who called it; plumbing is left out."""
    told, snapshot = profile(*ROWS)
    assert lines(tree(told, snapshot, direction=Direction.FROM_SITE, plumbing=Plumbing())) == [
        "all 400 0",
        "  parse 380 0",
        "    load 330 0",
        "      main 330 330",
        "    index 50 0",
        "      main 50 50",
        "  load 20 0",
        "    main 20 20",
    ]


def test_a_tree_by_libraries_has_each_once_in_a_row() -> None:
    """Calls inside one library are no step."""
    told, snapshot = profile("a!/x > b!/x > c!/y > d!/y > e!/x: 5")
    assert [node.name for _, node in tree(told, snapshot, By.LIBRARY).walk()] == ["all", "x", "y", "x"]


def test_stacks_may_be_deeper_than_recursion_goes() -> None:
    """A recursive program is drawn like others."""
    told, snapshot = profile(" > ".join(["main"] + [f"f{number}" for number in range(5000)]) + ": 1")
    assert sum(1 for _ in tree(told, snapshot).walk()) == 5002
    assert call_graph(told, snapshot, max_nodes=9999).left_out_nodes == 0


def test_a_graph_has_each_function_once() -> None:
    """With what it holds itself and with what it calls; edges hold what came over them."""
    graph = call_graph(*profile(*ROWS), plumbing=Plumbing())
    assert [(node.name, node.self_bytes, node.total_bytes) for node in graph.nodes] == [
        ("main", 0, 400), ("parse", 380, 380), ("load", 20, 350), ("index", 0, 50)
    ]  # fmt: skip
    names = [node.name for node in graph.nodes]
    assert [(names[edge.caller], names[edge.callee], edge.bytes) for edge in graph.edges] == [
        ("main", "load", 350), ("load", "parse", 330), ("main", "index", 50), ("index", "parse", 50)
    ]  # fmt: skip
    assert (graph.total_bytes, graph.shown_bytes) == (400, 400)


def test_recursion_is_counted_once() -> None:
    """A function that is on a stack ten times holds its bytes once, and calls itself."""
    graph = call_graph(*profile("main > f > g > f > g > f: 100"))
    assert {node.name: node.total_bytes for node in graph.nodes} == {"main": 100, "f": 100, "g": 100}
    names = [node.name for node in graph.nodes]
    assert {(names[edge.caller], names[edge.callee]): edge.bytes for edge in graph.edges} == {
        ("main", "f"): 100, ("f", "g"): 100, ("g", "f"): 100
    }  # fmt: skip
    assert [(edge.caller, edge.callee) for edge in call_graph(*profile("f > f: 5")).edges] == [(0, 0)]


def test_left_out_functions_leave_indirect_calls() -> None:
    """What hands everything on is left out first; its callers and callees stay connected."""
    rows = ["main > step1 > step2 > fork > left: 500", "main > step1 > step2 > fork > right: 500", "main > tiny: 1"]
    graph = call_graph(*profile(*rows), max_nodes=4)
    names = [node.name for node in graph.nodes]
    assert set(names) == {"main", "fork", "left", "right"}
    (edge,) = (edge for edge in graph.edges if names[edge.callee] == "fork")
    assert (names[edge.caller], edge.bytes, edge.indirect) == ("main", 1000, True)
    assert (graph.left_out_nodes, graph.total_bytes, graph.shown_bytes) == (3, 1001, 1000)


def test_inlined_calls_are_marked() -> None:
    """An edge is inlined if the callee's code was part of the caller's everywhere."""
    graph = call_graph(*profile("main > in:helper: 10", "main > other: 5"))
    names = [node.name for node in graph.nodes]
    assert {names[edge.callee]: edge.inlined for edge in graph.edges} == {"helper": True, "other": False}


def test_an_empty_snapshot_has_an_empty_tree_and_graph() -> None:
    """Nothing is divided by nothing."""
    told, snapshot = profile()
    assert tree(told, snapshot).total_bytes == 0
    assert call_graph(told, snapshot).nodes == ()

"""The tree of keys against a naive one, and its worked example."""

import time

from hypothesis import given
from hypothesis import strategies as st

from c101.tui.store.key_tree import KeyTree, Node, parent_of

KEYS = st.text(alphabet="ab/", min_size=1, max_size=7)


def naive_parent(path: str) -> str:
    """Return the directory of a key: all up to the last slash that is not the first character."""
    cut = max((i for i, c in enumerate(path) if c == "/" and i > 0), default=None)
    return "" if cut is None else path[: cut + 1]


def naive_directories(keys: set[str]) -> dict[str, set[tuple[str, bool]]]:
    """Return each directory's entries: path, whether it is a directory."""
    directories: dict[str, set[tuple[str, bool]]] = {"": set()}
    for key in keys:
        path, is_directory = key, False
        while True:
            above = naive_parent(path[:-1] if is_directory else path)
            directories.setdefault(above, set()).add((path, is_directory))
            if not above:
                break
            path, is_directory = above, True
    return directories


def naive_rows(keys: set[str], opened: set[str]) -> list[Node]:
    directories = naive_directories(keys)

    def rows_of(prefix: str, depth: int) -> list[Node]:
        rows: list[Node] = []
        for path, is_directory in sorted(directories.get(prefix, set())):
            name = path[len(prefix) :]
            if not is_directory:
                rows.append(Node(path, name, depth))
                continue
            count = sum(key.startswith(path) for key in keys)
            is_open = path in opened
            node = Node(path, name, depth, is_directory=True, is_open=is_open, count=count)
            rows += [node, *(rows_of(path, depth + 1) if is_open else [])]
        return rows

    return rows_of("", 0)


def rows(tree: KeyTree) -> list[Node]:
    return [tree.row(index) for index in range(tree.row_count)]


def shape(tree: KeyTree) -> list[str]:
    glyphs = {True: "▾ ", False: "▸ "}
    return [
        "  " * node.depth + (glyphs[node.is_open] if node.is_directory else "") + node.name
        for node in rows(tree)
    ]


def test_the_example_of_the_module() -> None:
    tree = KeyTree(["/a/1", "/a/2", "/b", "/c/x/1", "/c/y"])
    tree.open("/c/")
    assert shape(tree) == ["▸ /a/", "/b", "▾ /c/", "  ▸ x/", "  y"]
    assert [node.count for node in rows(tree)] == [2, 0, 2, 1, 0]


@given(st.sets(KEYS, max_size=30), st.sets(KEYS.map(lambda key: key + "/"), max_size=10))
def test_rows_are_those_of_a_naive_tree(keys: set[str], opened: set[str]) -> None:
    tree = KeyTree(keys, opened)
    assert rows(tree) == naive_rows(keys, opened)
    assert len(tree) == len(keys)


@given(
    st.sets(KEYS, max_size=15),
    st.lists(st.tuples(st.sampled_from(["insert", "delete", "open", "close"]), KEYS), max_size=40),
)
def test_changes_keep_the_tree_like_a_naive_one(
    keys: set[str], changes: list[tuple[str, str]]
) -> None:
    tree, opened = KeyTree(keys), set[str]()
    keys = set(keys)
    for change, key in changes:
        if change == "insert":
            assert tree.insert(key) == (key not in keys)
            keys.add(key)
        elif change == "delete":
            assert tree.delete(key) == (key in keys)
            keys.discard(key)
        elif change == "open":
            tree.open(parent_of(key))
        else:
            tree.close(parent_of(key))
        opened = set(tree.opened)
        assert rows(tree) == naive_rows(keys, opened)
        assert len(tree) == len(keys)
    assert all(key in tree for key in keys)


@given(st.sets(KEYS, max_size=30))
def test_every_row_is_found_again_by_its_path(keys: set[str]) -> None:
    tree = KeyTree(keys)
    tree.open_all()
    for index, node in enumerate(rows(tree)):
        assert tree.row_of(node.path, is_directory=node.is_directory) == index


def test_what_is_not_in_sight_has_no_row() -> None:
    tree = KeyTree(["/a/1"])
    assert tree.row_of("/a/1", is_directory=False) is None
    assert tree.row_of("/nothing", is_directory=False) is None
    assert tree.row_of("/no/", is_directory=True) is None
    tree.open("/a/")
    assert tree.row_of("/a/1", is_directory=False) == 1


def test_opening_a_directory_opens_those_above_it() -> None:
    tree = KeyTree(["/a/b/c/d"])
    tree.open("/a/b/c/")
    assert shape(tree) == ["▾ /a/", "  ▾ b/", "    ▾ c/", "      d"]


def test_what_was_open_inside_a_closed_directory_is_open_again_later() -> None:
    tree = KeyTree(["/a/b/c"], ["/a/", "/a/b/"])
    tree.close("/a/")
    assert shape(tree) == ["▸ /a/"]
    tree.open("/a/")
    assert shape(tree) == ["▾ /a/", "  ▾ b/", "    c"]


def test_a_key_and_a_directory_may_have_the_same_name() -> None:
    tree = KeyTree(["/a", "/a/", "/a/b"], ["/a/"])
    assert [(node.path, node.name, node.is_directory) for node in rows(tree)] == [
        ("/a", "/a", False),
        ("/a/", "/a/", True),
        ("/a/", "", False),
        ("/a/b", "b", False),
    ]


def test_the_last_key_takes_its_empty_directories_with_it() -> None:
    tree = KeyTree(["/a/b/c", "/d"])
    assert tree.delete("/a/b/c")
    assert shape(tree) == ["/d"]
    assert not tree.is_directory("/a/")


def test_opening_everything_stops_at_a_number_of_rows() -> None:
    tree = KeyTree(f"/{i}/{j}" for i in range(100) for j in range(10))
    tree.open_all(rows_max=150)
    assert tree.row_count == 150
    tree.close_all()
    assert tree.row_count == 100


def test_a_flat_directory_of_many_keys_opens_without_a_pass_over_them() -> None:
    tree = KeyTree(f"/flat/{i:06d}" for i in range(200_000))
    began = time.process_time()
    for _ in range(100):
        tree.open("/flat/")
        assert tree.row_count == 200_001
        assert tree.row(200_000).name == "199999"
        tree.close("/flat/")
        assert tree.row_count == 1
    # A pass over the keys costs ten times this for each of the hundred.
    assert time.process_time() - began < 0.5

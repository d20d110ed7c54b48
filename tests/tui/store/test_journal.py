"""Merging the journals of several machines."""

from c101.tui.store.journal import REORDER_SECONDS, JournalLine, JournalModel, Scope


def line(at: int, machine: str = "m1", unit: str = "a.service") -> JournalLine:
    return JournalLine(at, machine, machine, unit, 6, f"{machine} {at}")


def texts(model: JournalModel) -> list[str]:
    return [item.text for item in model.take_fresh()]


def test_lines_of_two_machines_come_out_in_the_order_of_their_time() -> None:
    model = JournalModel()
    model.push([line(1), line(4)], now=0.0)
    model.push([line(2, "m2"), line(3, "m2")], now=0.05)
    model.release(now=REORDER_SECONDS + 0.06)
    assert texts(model) == ["m1 1", "m2 2", "m2 3", "m1 4"]


def test_a_line_waits_for_older_ones_but_not_for_long() -> None:
    model = JournalModel()
    model.push([line(5)], now=0.0)
    assert model.release(now=REORDER_SECONDS / 2) == 0
    assert model.waiting
    assert model.release(now=REORDER_SECONDS) == 1
    assert not model.waiting


def test_an_older_line_leaves_with_the_first_newer_one() -> None:
    model = JournalModel()
    model.push([line(5)], now=0.0)
    model.push([line(3, "m2"), line(7, "m2")], now=0.09)
    model.release(now=REORDER_SECONDS)
    assert texts(model) == ["m2 3", "m1 5"]
    assert model.waiting


def test_a_line_that_comes_too_late_is_shown_all_the_same() -> None:
    model = JournalModel()
    model.push([line(5)], now=0.0)
    model.release(now=1.0)
    model.push([line(3, "m2")], now=1.0)
    model.release(now=2.0)
    assert texts(model) == ["m1 5", "m2 3"]


def test_more_than_may_wait_is_let_go_at_once() -> None:
    model = JournalModel()
    model.push((line(at) for at in range(20_100)), now=0.0)
    assert model.release(now=0.0) == 100


def test_a_scope_holds_the_lines_of_its_units_or_its_machine() -> None:
    assert Scope().holds("a", "m1")
    assert Scope(frozenset({"a"})).holds("a", "m1")
    assert not Scope(frozenset({"b"})).holds("a", "m1")
    assert not Scope(machine_id="m2").holds("a", "m1")

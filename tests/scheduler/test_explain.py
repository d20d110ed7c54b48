"""What a person reads who asks why."""

import pytest

from c101.core.errors import NotFoundError
from c101.core.model.machine import Machine
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.explain import reasons, why
from tests.scheduler.builders import cluster, machine, unit

BIG = ("MachineMetadata=memory=big",)

ROWS: dict[str, tuple[list[Machine], list[Unit], str]] = {
    "a constraint that no machine has is counted": (
        [machine("m1", memory="small"), machine("m2"), machine("m3", memory="small")],
        [unit("x", *BIG)],
        """\
x.service is placed nowhere: none of 3 machines is feasible
  MachineMetadata=memory=big: 0 of 3 machines
  m1  metadata memory=big is wanted, it has memory=small
  m2  metadata memory=big is wanted, it has none
  m3  metadata memory=big is wanted, it has memory=small""",
    ),
    "each constraint is counted by itself": (
        [machine("m1", memory="big"), machine("m2", disk="ssd")],
        [unit("x", *BIG, "MachineMetadata=disk=ssd")],
        """\
x.service is placed nowhere: none of 2 machines is feasible
  MachineMetadata=disk=ssd: 1 of 2 machines
  MachineMetadata=memory=big: 1 of 2 machines
  m1  metadata disk=ssd is wanted, it has none
  m2  metadata memory=big is wanted, it has none""",
    ),
    "conflicts in both directions name the unit that bars": (
        [machine("m1"), machine("m2"), machine("m3", cordoned=True)],
        [
            unit("x", "Conflicts=y*.service"),
            unit("y1", on="m1"),
            unit("z", "Conflicts=x.service", on="m2"),
        ],
        """\
x.service is placed nowhere: none of 3 machines is feasible
  ready: 2 of 3 machines
  Conflicts=y*.service: 2 of 3 machines
  no unit with Conflicts=x.service: 2 of 3 machines
  m1  y1.service is there, which its Conflicts=y*.service bars
  m2  z.service is there and bars it by Conflicts=x.service
  m3  it is cordoned""",
    ),
    "a peer that is elsewhere is named with its machine": (
        [machine("m1"), machine("m2", draining=True)],
        [unit("x", "MachineOf=y.service", "MachineOf=z.service"), unit("y", on="m1"), unit("z")],
        """\
x.service is placed nowhere: none of 2 machines is feasible
  ready: 1 of 2 machines
  MachineOf=y.service: 1 of 2 machines
  MachineOf=z.service: 0 of 2 machines
  m1  its peer z.service is placed nowhere
  m2  it is draining""",
    ),
    "a machine that is not the one named says so": (
        [machine("m1"), machine("m2", lost=True)],
        [unit("x", "MachineID=m2")],
        """\
x.service is placed nowhere: none of 1 machines is feasible
  MachineID=m2: 0 of 1 machines
  m1  MachineID=m2 is another machine
  m2  it is lost""",
    ),
    "a replaced unit names its replacer": (
        [machine("m1")],
        [unit("x"), unit("new", "Replaces=x.service", on="m1")],
        """\
x.service is placed nowhere: none of 1 machines is feasible
  no unit that replaces it: 0 of 1 machines
  m1  new.service is there and replaces it""",
    ),
    "a placed unit says where it is and why": (
        [machine("m1"), machine("second")],
        [unit("x", on="m1")],
        """\
x.service is placed on m1: as the test says
  m1      it is placed here
  second  feasible""",
    ),
    "a unit on a lost machine says what else there is": (
        [machine("m1", lost=True, memory="big"), machine("m2")],
        [unit("x", *BIG, on="m1")],
        """\
x.service is placed on m1, which is lost; none of 1 machines is feasible
  MachineMetadata=memory=big: 0 of 1 machines
  m1  it is lost
  m2  metadata memory=big is wanted, it has none""",
    ),
    "a global unit says where it runs": (
        [machine("m1", disk="ssd"), machine("m2")],
        [unit("x", "Global=true", "MachineMetadata=disk=ssd")],
        """\
x.service is global: it runs on 1 of 2 machines
  MachineMetadata=disk=ssd: 1 of 2 machines
  m1  runs here
  m2  metadata disk=ssd is wanted, it has none""",
    ),
    "an inactive unit has nothing to explain": (
        [machine("m1")],
        [unit("x", target=TargetState.INACTIVE)],
        "x.service is placed nowhere: its target state is inactive",
    ),
    "without machines there is nothing to count": (
        [],
        [unit("x")],
        "x.service is placed nowhere: there is no machine",
    ),
    "a file that cannot be read is the reason": (
        [machine("m1")],
        [unit("x", "Weight=3")],
        "x.service is placed nowhere: x.service:4: unknown option Weight in [X-Fleet]",
    ),
    "a unit that is about to be placed waits for the engine": (
        [machine("m1")],
        [unit("x")],
        """\
x.service is placed nowhere: 1 of 1 machines feasible, the engine has not placed it yet
  m1  feasible""",
    ),
}


@pytest.mark.parametrize(("machines", "units", "text"), ROWS.values(), ids=ROWS.keys())
def test_why_says(machines: list[Machine], units: list[Unit], text: str) -> None:
    assert "\n".join(why(cluster(machines, units), "x.service").lines()) == text


def test_without_an_engine_that_is_the_reason() -> None:
    state = cluster([machine("m1")], [unit("x")], leader="")
    assert "no engine leads" in why(state, "x.service").summary


def test_an_unknown_unit_is_not_found() -> None:
    with pytest.raises(NotFoundError, match=r"no unit x\.service"):
        why(cluster(), "x.service")


def test_a_unit_that_cannot_be_read_says_so() -> None:
    state = cluster(damaged={"units/x.service/file": "line 3: no '='"})
    with pytest.raises(NotFoundError, match="cannot be read: line 3"):
        why(state, "x.service")


def test_reasons_are_one_sentence_for_each_unit_in_trouble() -> None:
    state = cluster(
        [machine("m1"), machine("m2", lost=True)],
        [
            unit("big", *BIG),
            unit("fine", on="m1"),
            unit("bound", "MachineID=m2", on="m2"),
            unit("everywhere", "Global=true"),
            unit("nowhere", "Global=true", *BIG),
            unit("asleep", target=TargetState.INACTIVE),
        ],
    )
    assert reasons(state) == {
        "big.service": "is placed nowhere: none of 1 machines is feasible; "
        "MachineMetadata=memory=big: 0 of 1 machines",
        "bound.service": "is placed on m2, which is lost; none of 1 machines is feasible; "
        "MachineID=m2: 0 of 1 machines",
        "nowhere.service": "is global: it runs on 0 of 1 machines; "
        "MachineMetadata=memory=big: 0 of 1 machines",
    }

"""``machines cordon``, ``uncordon`` and ``drain``."""

from collections.abc import Iterator

import pytest

from tests.ctl.site import Site, until

pytestmark = pytest.mark.integration


@pytest.fixture
def machines(site: Site) -> Iterator[Site]:
    """The cluster, whose machines all have units again afterwards."""
    yield site
    site.ok("machines", "uncordon", "m1", "m2")


def states(site: Site) -> dict[str, str]:
    return {row["name"]: row["state"] for row in site.json("list-machines")}


def test_a_cordoned_machine_keeps_what_it_has_and_gets_no_more(machines: Site) -> None:
    machines.ok("start", machines.write("stays.service"))
    here = machines.unit("stays.service")["machine"]
    there = ({"m1", "m2"} - {here}).pop()
    assert machines.json("machines", "cordon", here) == [{"machine": here, "result": "cordoned"}]
    assert states(machines) == {here: "cordoned", there: "ready"}
    names = [f"more{number}.service" for number in range(4)]
    for name in names:
        machines.ok("start", machines.write(name))
    assert {machines.unit(name)["machine"] for name in names} == {there}
    assert machines.unit("stays.service")["machine"] == here
    machines.ok("machines", "uncordon", here)
    assert states(machines) == {"m1": "ready", "m2": "ready"}
    machines.ok("destroy", "stays", *names)


def test_a_drained_machine_is_left_by_what_fits_elsewhere(machines: Site) -> None:
    machines.ok("start", machines.write("moves.service"))
    here = machines.unit("moves.service")["machine"]
    machines.ok("machines", "drain", here)
    assert states(machines)[here] == "draining"
    until(lambda: machines.unit("moves.service")["active"] == "active", what="it runs elsewhere")
    assert machines.unit("moves.service")["machine"] != here
    machines.ok("destroy", "moves")


def test_what_fits_nowhere_else_is_named_and_returns(machines: Site) -> None:
    text = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineMetadata=disk=ssd\n"
    machines.ok("start", machines.write("bound.service", text))
    said = machines.fails(4, "machines", "drain", "--timeout", "1", "m1")
    assert "no other place was found within 1 s: bound.service" in said
    assert "machines uncordon lets them return" in said
    until(lambda: machines.unit("bound.service")["active"] == "inactive", what="it is stopped")
    machines.ok("machines", "uncordon", "m1")
    until(lambda: machines.unit("bound.service")["active"] == "active", what="it is back")
    machines.ok("machines", "drain", "--no-block", "m1")
    machines.ok("destroy", "bound")


def test_a_machine_that_is_not_there_changes_none(machines: Site) -> None:
    assert "no machine is called m9" in machines.fails(3, "machines", "cordon", "m1", "m9")
    assert states(machines) == {"m1": "ready", "m2": "ready"}

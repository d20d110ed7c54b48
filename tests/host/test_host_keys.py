"""Lines of known_hosts while a host changes its keys: both, by every name, then the new alone."""

from pathlib import Path

from c101.agents.host.setup.host_keys import with_keys
from c101.agents.host.setup.spec import Trusted
from c101.agents.ssh.trust import replace_keys

LINES = ("[10.0.0.1]:2222 OLD1", "kv.example OLD2", "10.0.0.9 OTHER")


def test_both_are_known_and_then_the_new_alone() -> None:
    both = Trusted(before=("OLD1", "OLD2"), after=("NEW",), alone=False)
    known = with_keys(LINES, both)
    assert set(known) == {
        "[10.0.0.1]:2222 OLD1",
        "[10.0.0.1]:2222 OLD2",
        "[10.0.0.1]:2222 NEW",
        "kv.example OLD1",
        "kv.example OLD2",
        "kv.example NEW",
        "10.0.0.9 OTHER",
    }
    assert with_keys(known, both) == known
    alone = Trusted(before=both.before, after=both.after, alone=True)
    settled = ("[10.0.0.1]:2222 NEW", "kv.example NEW", "10.0.0.9 OTHER")
    assert with_keys(known, alone) == settled
    assert with_keys(settled, alone) == settled


def test_an_agent_that_does_not_know_the_host_learns_nothing() -> None:
    trusted = Trusted(before=("OLD",), after=("NEW",), alone=False)
    assert with_keys(("10.0.0.9 OTHER",), trusted) == ("10.0.0.9 OTHER",)


def test_a_file_of_ones_own_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    replace_keys(path, ("OLD",), ("NEW",))
    assert not path.exists()
    path.write_text("m1 OLD\nm2 OTHER\n")
    replace_keys(path, ("OLD",), ("NEW1", "NEW2"))
    assert path.read_text() == "m1 NEW1\nm1 NEW2\nm2 OTHER\n"

"""What systemd would refuse is refused before it is asked, and nothing else is."""

import pytest

from c101.agents.host.service_unit import agent_unit
from c101.agents.runtime.systemd.environment import with_environment
from c101.agents.runtime.systemd.text_check import check
from c101.core.units.file import UnitFile, UnitFileError
from c101.core.units.name import UnitName

GOOD = {
    "a.service": "[Service]\nExecStart=/bin/true\n",
    "b.service": "[Service]\nType=oneshot\nExecStart=/bin/true\nExecStart=/bin/true\n",
    "c.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/true\n",
    "d.service": "[Service]\nType=oneshot\nExecStart=/bin/true\nRestart=on-failure\n",
    "e.service": "[Service]\nType=dbus\nBusName=x.y\nExecStart=/bin/true\n",
    "a.timer": "[Timer]\nOnCalendar=daily\n",
    "a.socket": "[Socket]\nListenStream=/run/x\n",
    "a.path": "[Path]\nPathExists=/x\n",
    "mnt-x.mount": "[Mount]\nWhat=/dev/x\nWhere=/mnt/x\n",
    "a.slice": "",
    "a.target": "[Unit]\nDescription=x\n",
}
BAD = {
    "a.service": "[Service]\nUser=nobody\n",
    "b.service": "[Service]\nExecStart=/bin/true\nExecStart=/bin/true\n",
    "c.service": "[Service]\nType=oneshot\nExecStop=/bin/true\n",
    "d.service": "[Service]\nType=oneshot\nExecStart=/bin/true\nRestart=always\n",
    "e.service": "[Service]\nType=dbus\nExecStart=/bin/true\n",
    "f.service": "[Service]\nExecStart=/bin/true\nExecStart=\n",
    "a.timer": "[Timer]\nUnit=x.service\n",
    "a.socket": "[Socket]\nAccept=yes\n",
    "a.path": "[Path]\nUnit=x.service\n",
    "mnt-x.mount": "[Mount]\nWhat=/dev/x\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_what_systemd_takes_is_taken(name: str) -> None:
    assert check(UnitName.parse(name), GOOD[name]).text == GOOD[name]


@pytest.mark.parametrize("name", BAD)
def test_what_systemd_refuses_is_refused(name: str) -> None:
    with pytest.raises(UnitFileError):
        check(UnitName.parse(name), BAD[name])


def test_a_second_start_of_a_service_is_named_by_its_line() -> None:
    with pytest.raises(UnitFileError) as refused:
        check(UnitName.parse("b.service"), BAD["b.service"])
    assert refused.value.line == 3


def test_what_is_added_to_the_environment_comes_last_and_replaces_nothing() -> None:
    text = '[Service]\nEnvironment="C101_KV=mine" OTHER=x\nExecStart=/bin/true'
    file = UnitFile.parse(text)
    assert with_environment(file, {"C101_KV": "unix:///x"}) == text
    added = with_environment(file, {"C101_KV": "x", "NEW": 'a "b" 50% \\'})
    assert added.startswith(text)
    assert UnitFile.parse(added).get("Service", "Environment") == [
        '"C101_KV=mine" OTHER=x',
        '"NEW=a \\"b\\" 50%% \\\\"',
    ]


def test_the_agents_own_unit_keeps_every_word_of_its_command() -> None:
    unit = UnitFile.parse(agent_unit(["/x/c101-agent", "--name", 'a "b" $c %d'], [("A", "1 2 $x")]))
    assert unit.get("Service", "ExecStart") == [
        '"/x/c101-agent" "--name" "a \\"b\\" $$c %%d"',
    ]
    assert unit.get("Service", "Environment") == ['"A=1 2 $x"']
    check(UnitName.parse("c101-agent.service"), unit.text)

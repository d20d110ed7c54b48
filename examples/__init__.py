"""The three-tier web application of the demo: ordinary unit files, and the small programs they run.

``db1`` and ``db2`` keep data, ``web@1`` and ``web@2`` serve pages and find the data's master under
``/services/db-master``, ``lb`` balances over what is registered under ``/services/web/``. Sidekick
units register each of them under a lease, so that what dies disappears. ``cache`` asks for a
machine that nobody has, so that a reason is to be seen.
"""

import re
from importlib import resources

#: Units of the application, in the order in which a person would start them.
UNITS = (
    "db1.service",
    "db2.service",
    "db1-sidekick.service",
    "db2-sidekick.service",
    "web@1.service",
    "web@2.service",
    "web-sidekick@1.service",
    "web-sidekick@2.service",
    "lb.service",
    "cache.service",
)
#: Where the load balancer answers, unless the ports are shifted.
LB_PORT = 40080
#: Every port the unit files name.
PORTS = (LB_PORT, 41001, 41002, 42001, 42002)

_PORT = re.compile(r"\b4(?:0080|1001|1002|200%i)\b")


def unit_files(*, port_shift: int = 0) -> dict[str, str]:
    """Return the unit files' texts by name, templates included, every port moved by *port_shift*.

    The shift is a multiple of 1000 from 0 to 9000, so that ``4200%i`` remains a port.
    """
    if port_shift % 1000 or not 0 <= port_shift <= 9000:
        raise ValueError("the shift is a multiple of 1000 from 0 to 9000")
    return {
        file.name: _PORT.sub(lambda found: _shifted(found.group(), port_shift), file.read_text())
        for file in resources.files(__package__).iterdir()
        if file.name.endswith(".service")
    }


def _shifted(port: str, shift: int) -> str:
    head = str(int(port[:2]) + shift // 1000)
    return head + port[2:]

"""Units on machines without systemd: ``ProcessUnitManager``, and the keepers that outlive it.

::

    ProcessUnitManager (in the agent)                    one keeper a unit (keeper/)
      service_file   unit file -> Spec        spec  ->     service     systemd's state machine
      launch         starts a keeper                       spawn       fork, child: what is set up
      keeper_link    orders, states         <-socket->     link          before exec
      journal/       reads                  <- files -     output      pipes -> journal
      power          kills a machine's processes           killing     KillMode=

The keeper decides and acts; the manager compiles, gives orders and tells what it is told. So the
agent may die at any moment.
"""

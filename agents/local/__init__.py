"""A whole cluster on this computer: what the demo, ``c101ctl local`` and the tests run.

``layout`` says where everything lies under one directory, ``settings`` what was chosen once and is
kept, ``keys`` makes the SSH keys on the spot, ``process`` starts and ends one child, ``supervisor``
holds them all and answers on a socket, ``control`` is that socket's other end, ``cli`` the verbs.

The lifeline: every process of the cluster holds a connection to the supervisor's ``lifeline.sock``
and ends at its end, so that nothing is left running however the supervisor ended.
"""

"""Unit files: their names, their text, and what they ask of the cluster.

``name`` holds the rules for names, ``file`` parses and prints without loss, ``words`` splits values
as systemd does, ``specifiers`` expands ``%i`` and its kin, ``requirements`` reads ``[X-Fleet]`` and
``[X-C101]``, ``states`` says which command leads from which target state to which. Everything here
is pure.
"""

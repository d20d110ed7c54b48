"""Making hosts members of a cluster, from where the console runs, with nothing but SSH.

::

    bundle    the agent as one file: everything a host needs, for one Python and one processor
    unpack    what that file does on a host (it is the file's ``__main__``)
    probe     what a host is, asked by a script that needs no more than Python
    host      one host over SSH: commands as root, the file shipped, the verbs of setup
    cores     the hosts of the KV: by which endpoints a machine reaches it, who is let in there
    cluster   init, add, remove: the order of steps, and what is written into the KV
    high_availability, certificates
              from the KV on one machine to an etcd on three, and what that shows and trusts
    host_keys new host keys for a machine, told to everybody before they are used

What has to be done on a host is done there, by ``c101-agent setup`` (``agents.host.setup``), which
was shipped before it is asked for anything: both ends are of one version.
"""

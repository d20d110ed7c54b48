"""The KV's sockets where the KV is a real etcd: by whichever one came, so much may be asked of it.

etcd knows users with certificates, not who opened a socket. A front stands on each of its hosts and
serves the sockets that our own KV would (``kv-admin.sock``, ``kv-operator.sock``,
``kv-agent-<machine>.sock`` …)::

    relay over SSH ─ unix socket ─ methods: what may this role ask? ─ https ─ the etcd on this host

    server    the listeners; each call goes on as it came, its answer goes back as it is
    methods   what each method needs, looked up by its path
    leases    which keys hang on a lease: who cannot write them may not end, renew or use it

It talks to the etcd of its own host and to no other. Where that one is gone it says so, and a
client goes on to the next host's front, as it would from member to member.
"""

"""etcd's auth: users, roles, and the ranges of keys that roles may read and write.

What is where::

    state          what is known, and a change of it; the buckets
    user_changes   requests that change users, and role_changes roles: decided purely
    spans          ranges merged; rights: what a user may, all roles together
    tokens         who holds one is its user
    passwords      bcrypt, on threads
    caller         who asks
    store          the auth store: authenticates, and changes durably, one change at a time
    checks         what a request needs

How a service checks, whether it serves clients or uses the KV on their behalf (Lock, Election)::

    caller = auth.caller_of(call)                    # when the request comes; raises for bad tokens
    if auth.enabled:                                 # all that is looked at while auth is off
        checks.check_read(auth, caller, key, range_end)
    ...
    if auth.enabled:                                 # in the step of the write gate that stages
        yield from checks.check_txn(auth, store.lessor, caller, request)

``caller`` is taken once, when the request arrives: it carries the revision of the auth store by
which a write that had to wait finds that it is outdated. A service with no keys of its own asks
``auth.require_named(caller)`` or ``auth.require_admin(caller)``.

The answers are those of etcd 3.4.23. Where that lets pass what etcd has since closed as a
vulnerability, the answers are those of its later releases; see ADR 13.
"""

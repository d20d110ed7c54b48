"""The store: etcd's multi-version semantics on one SQLite file.

What is where::

    revision       row ids: revision, sub-revision and tombstone bit in one integer
    pieces         long answers, never joined as a whole
    record         a key's state as a tuple, its KeyValue kept as encoded bytes
    key_index      the history of one key: append, look up, compact
    tree           ordered sets of keys, and intervals
    index          everything committed: states, histories, ordered keys
    schema         the tables of the SQLite file, and earlier formats of it
    checksum       of every row; damage: what is found before anything is served
    storage        the SQLite file: load, point reads
    writer         the one thread that writes it, a batch at a time
    store          the write path: stage, group commit, merge, answer
    gate           one write stages at a time, also one of many turns
    write          put, delete range, end of a lease
    txn_check      what is refused of a write before anything is looked at
    txn_decide     compares, and the state they see
    txn            decide, check, do
    range_read     ranges in small steps; reads: at which revision; stepper, pace: in turns
    watcher        one watch; watcher_group: who is interested; watch: history and who is live
    delivery       live events, in steps; shared_events: encoded once for many watches
    replay         what watches that are behind are sent, from the log
    lessor         leases
    compactor      old revisions leave
    auth           users, roles, permissions, tokens: a package of its own
    history_check  whether a log's rows make one history; check: a data directory as a whole
    snapshot/      the store as a file of etcd's, and back
    refusal        etcd's error codes and texts

Three rules hold it together. A write is *staged* in memory, made durable with whatever else came in
the meantime (group commit), *merged* into the committed index, and only then answered; so neither
an answer nor a watch event ever shows what a crash could take back. Reads see the committed
index only. Everything runs on one event loop; the writer thread touches nothing but SQLite.

Records are kept the way they go over the wire, tag and length included, so that a range copies
bytes and encodes nothing.

Not chosen: an append log of our own (1.4 times faster at most, and torn tails, bit rot and
checkpoints would be ours to get right), LMDB (slower for synchronous commits).
"""

"""Snapshots in the format of etcd's own database (bbolt), both ways.

What is where::

    bbolt_pages    what a page of a bbolt file holds, and how it is packed
    bbolt_writer   a file from buckets: laid out first, then written front to back
    bbolt_reader   the buckets of a file that nobody vouches for
    etcd_buckets   what etcd keeps in which bucket, under which keys
    export         a running store as such a file, at one revision
    restore        such a file as a data directory of ours
    snapshot_file  a file on disk: its hash, its totals; written whole or not at all
    crc32c         the checksum that etcdctl prints

An export reads the SQLite file twice, on a connection and in a thread of its own: the first pass
asks for lengths only and settles where each page will be, the second writes the pages in order. So
the size is known before the first byte, nothing is ever gone back to, and what is held in memory is
one path of a tree, however large the store is.
"""

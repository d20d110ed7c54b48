"""The journal of the process runtime: files a keeper appends to and an agent reads.

One machine has one journal, `<directory>/journal`::

    id                         random, part of every cursor: another journal's cursors are refused
    order                      the next sequence number of the machine (``order.py``)
    web@1.service/             one directory a unit
        00000000000000000001   one file a rotation, named by the sequence number of its first entry
        00000000000000204811

Entries of all units share one sequence of numbers, so a number is a place in the merged stream and
reading on after it is exact, whatever units are asked for. Only the keeper of a unit writes its
files; readers need no lock.
"""

"""The parts of a transaction by the names that python-etcd3 gives them.

::

    part = client.transactions
    await client.transaction(
        compare=[part.value("/door") == "open", part.version("/door") > 0],
        success=[part.put("/door", "shut")],
        failure=[part.get("/door")],
    )

Each name stands for what ``txn`` has: ``part.create`` is ``txn.create_revision``, ``part.put`` is
``txn.Put``. A comparison is a value: writing one changes nothing that was there.
"""

from c101.core.etcd import txn as parts


class Transactions:
    """python-etcd3's names for the parts of a transaction.

    Example::

        part = client.transactions
        result = await client.transaction(
            compare=[
                part.value("/t") != "x", part.version("/u") == 0, part.create("/u") == 0,
                part.mod("/u") < 1, part.lease("/u") == 0,
            ],
            success=[],
            failure=[
                part.put("/u", "1"), part.get("/u"), part.delete("/v"),
                part.txn(compare=[], success=[part.get("/u")]),
            ],
        )
        assert not result.succeeded, "the value of a key that does not exist satisfies nothing"
    """

    value = staticmethod(parts.value)
    version = staticmethod(parts.version)
    create = staticmethod(parts.create_revision)
    mod = staticmethod(parts.mod_revision)
    lease = staticmethod(parts.lease)
    put = parts.Put
    get = parts.Get
    delete = parts.Delete
    txn = parts.Txn

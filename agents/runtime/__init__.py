"""What runs units on a machine: one contract, ``UnitManager``, and a package for each way."""

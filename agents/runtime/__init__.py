"""What runs units on a machine. One contract, ``UnitManager``, and one package for each way to
keep it."""

"""How much is done before others get a turn."""


class Pace:
    """Counts work, and says when there was enough of it for one turn of the loop.

    One of these goes through all that a request does, so that many small parts add up.
    """

    __slots__ = ("_left", "_per_turn")

    def __init__(self, work_per_turn: int) -> None:
        self._per_turn = self._left = work_per_turn

    def spent(self, work: int = 1) -> bool:
        """Count *work*; say whether others are to have a turn."""
        self._left -= work
        if self._left > 0:
            return False
        self._left = self._per_turn
        return True

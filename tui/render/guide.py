"""Help, the action menu and the footer: the table of actions in words."""

from collections.abc import Mapping, Sequence

from c101.tui.actions.action import Action, Context
from c101.tui.actions.table import ACTIONS
from c101.tui.keymap import label
from c101.tui.render.cells import Cell
from c101.tui.render.width import text_width

Line = tuple[Cell, ...]

GROUPS: Mapping[str, str] = {
    "units": "Units",
    "machines": "Machines",
    "keys": "Keys",
    "journal": "Journal",
    "global": "Everywhere",
}

_MOVING = (
    ("j k ↑ ↓", "Up and down"),
    ("g G", "First, last"),
    ("← →", "Close, open a directory; shift a line"),
)

_KEY_CELLS = 9


def keys_of(action: Action) -> str:
    """Return an action's keys as people write them."""
    return " ".join(label(key) for key in action.keys)


def footer(actions: Sequence[Action], context: Context) -> list[tuple[str, str, str]]:
    """Return label, word and id of the actions that can be done now and have a word."""
    return [
        (label(action.keys[0]), action.short, action.id)
        for action in sorted(actions, key=lambda action: action.rank)
        if action.short and action.keys and action.refuse(context) is None
    ]


def pages(width: int) -> list[Line]:
    """Return the help, in two columns where they fit *width*."""
    blocks = [_block(GROUPS[group], _rows(group)) for group in GROUPS]
    blocks.append(_block("Moving", list(_MOVING)))
    left = [line for block in blocks[:4] for line in (*block, ())]
    right = [line for block in blocks[4:] for line in (*block, ())]
    if width < 76:
        return left + right
    half = width // 2
    rows = max(len(left), len(right))
    left += [()] * (rows - len(left))
    right += [()] * (rows - len(right))
    return [_beside(a, b, half) for a, b in zip(left, right, strict=True)]


def _rows(group: str) -> list[tuple[str, str]]:
    return [
        (keys_of(action), action.title)
        for action in ACTIONS
        if action.group == group and action.keys
    ]


def _block(title: str, rows: Sequence[tuple[str, str]]) -> list[Line]:
    lines: list[Line] = [(Cell(f" {title}", "strong"),)]
    for keys, words in rows:
        lines.append((Cell(f" {keys:>{_KEY_CELLS}}  ", "accent"), Cell(words)))
    return lines


def _beside(left: Line, right: Line, half: int) -> Line:
    used = sum(text_width(cell.text) for cell in left)
    return (*left, Cell(" " * max(1, half - used)), *right)


def menu_row(action: Action, context: Context) -> tuple[Cell, ...]:
    """Return keys, title and, where it cannot be done now, why."""
    reason = action.refuse(context)
    if reason is None:
        return (Cell(keys_of(action), "accent"), Cell(action.title), Cell(""))
    return (Cell(keys_of(action), "dim"), Cell(action.title, "dim"), Cell(reason, "warn"))

"""Our themes: grey, and a colour only for what differs from well.

The colours of a theme are meanings before they are colours, and every widget reads them so:

    success  as wanted                      green
    primary  on its way                     blue
    warning  needs attention soon           amber
    error    broken or lost                 red
    accent   focus and selection, only      violet
    text-disabled  off on purpose           a darker grey
    text-muted     said in passing          grey

Every one of them is readable as text (contrast 4.5 to 1 or better, WCAG AA) on the background, on a
raised surface and under the cursor; a test computes it.
"""

from typing import Final, TypeVar

from textual.app import App
from textual.theme import Theme

DARK: Final = Theme(
    name="c101-dark",
    dark=True,
    background="#121417",
    surface="#1b1e23",
    panel="#23272e",
    foreground="#d0d4da",
    success="#86c28b",
    primary="#7fb0ea",
    secondary="#9aa4b2",
    warning="#e3b35f",
    error="#f2827b",
    accent="#bda7f7",
    variables={
        "text-muted": "#a2a9b3",
        "text-disabled": "#90979f",
        "foreground-muted": "#a2a9b3",
        "block-cursor-background": "#2d2b40",
        "block-cursor-foreground": "#d0d4da",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#2d2b40",
        "block-cursor-blurred-foreground": "#d0d4da",
        "border": "#bda7f7",
        "border-blurred": "#3a4049",
        "scrollbar": "#3a4049",
        "scrollbar-hover": "#4c535e",
        "scrollbar-active": "#bda7f7",
        "scrollbar-background": "#121417",
        "scrollbar-background-hover": "#121417",
        "scrollbar-background-active": "#121417",
        "scrollbar-corner-color": "#121417",
        "input-selection-background": "#bda7f7 35%",
        "footer-background": "#121417",
        "footer-key-foreground": "#bda7f7",
    },
)

LIGHT: Final = Theme(
    name="c101-light",
    dark=False,
    background="#fafaf8",
    surface="#efefec",
    panel="#e6e6e2",
    foreground="#2a2e34",
    success="#1d6b33",
    primary="#1a57ad",
    secondary="#4d5560",
    warning="#7d4e00",
    error="#ab221b",
    accent="#6236b8",
    variables={
        "text-muted": "#545b65",
        "text-disabled": "#5b626b",
        "foreground-muted": "#545b65",
        "block-cursor-background": "#e3ddf3",
        "block-cursor-foreground": "#2a2e34",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e3ddf3",
        "block-cursor-blurred-foreground": "#2a2e34",
        "border": "#6236b8",
        "border-blurred": "#c6c8c8",
        "scrollbar": "#c6c8c8",
        "scrollbar-hover": "#aeb2b5",
        "scrollbar-active": "#6236b8",
        "scrollbar-background": "#fafaf8",
        "scrollbar-background-hover": "#fafaf8",
        "scrollbar-background-active": "#fafaf8",
        "scrollbar-corner-color": "#fafaf8",
        "input-selection-background": "#6236b8 25%",
        "footer-background": "#fafaf8",
        "footer-key-foreground": "#6236b8",
    },
)

#: The first is the one to begin with.
THEMES: Final = (DARK, LIGHT)


_Returned = TypeVar("_Returned")


def register_themes(app: App[_Returned]) -> None:
    """Make our themes known to *app* and wear the first."""
    for theme in THEMES:
        app.register_theme(theme)
    app.theme = THEMES[0].name

"""From what is known to the words and glyphs that say it: pure, no terminal library."""

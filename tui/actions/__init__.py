"""Everything a user can do: one table, from which keys, help and menus are made."""

"""Facts of this host and how it fares, read from the system and nowhere kept."""

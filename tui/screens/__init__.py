"""What is on the screen: the main one, and what opens over it."""

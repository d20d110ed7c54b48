"""The agent's API as its callers have it."""

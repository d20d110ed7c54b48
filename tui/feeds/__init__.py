"""From streams to what panes show: a feed takes one stream into the store, again and again."""

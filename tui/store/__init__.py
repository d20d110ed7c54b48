"""What a pane shows, as plain values: rows, trees, buffers. No terminal, no clock, no I/O."""

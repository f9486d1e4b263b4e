"""One module per group of rows; each has `measure(bench)`, which returns what it found by row."""

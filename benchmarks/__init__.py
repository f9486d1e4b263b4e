"""Side-by-side benchmarks: `sidecar bench` runs them, docs/benchmarks.md says what each row means."""

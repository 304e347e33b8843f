"""Benchmarks: ``python -m benchmarks`` measures DeZero beside its peers."""

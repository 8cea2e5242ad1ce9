"""What the pipeline costs, beside what others cost: `python -m tests.benchmarks NAME`."""

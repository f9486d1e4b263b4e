"""What people would use instead, each in a process of its own, and possibly under a Python of its own.

Nothing here imports the sidecar: the environments of some peers can't hold it. `python -m benchmarks.peers NAME ...`
reads one JSON object per line and answers each with one.
"""

"""Spans of the calls that a sidecar answers, sent to a collector by OTLP.

`calls` is what the rest of the server knows of it, and all that is loaded while the setting `tracing` is off; `setup`
makes the way to the collector, `spans` what both edges share, `grpc` and `http` stand around their calls, and `service`
tells of what came out.
"""

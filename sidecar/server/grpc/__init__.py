"""gRPC edge: translates `sidecar.v1` to the inference service and back, and nothing else."""

from sidecar.server.grpc.server import GrpcServer

__all__ = ["GrpcServer"]

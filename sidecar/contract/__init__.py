"""The wire form of `sidecar.v1`: pure functions between protobuf messages and value objects, for both ends of a call.

The server and the client library translate with the same code, so that each function has its inverse next to it.
"""

"""TLS of the two data ports: what the files must be, their replacement under way, and the handshakes of HTTP."""

from sidecar.server.tls.files import Credentials, TlsFiles
from sidecar.server.tls.handshake import MOST_CONNECTIONS, Handshake
from sidecar.server.tls.posture import posture, warnings
from sidecar.server.tls.rotation import Tls

__all__ = ["MOST_CONNECTIONS", "Credentials", "Handshake", "Tls", "TlsFiles", "posture", "warnings"]

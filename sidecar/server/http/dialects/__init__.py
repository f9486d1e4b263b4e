"""The request and answer shapes of other tools, one module each."""

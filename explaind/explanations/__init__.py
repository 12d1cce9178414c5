"""The mathematics of the explanations: NumPy over Protocols; no torch, no grpc, no I/O."""

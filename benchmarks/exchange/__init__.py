"""The exchange between one coordinator and 3 to 200 nodes, beside plaintext gRPC and Flower's own engine."""

"""Measures conformance: runs the public S3 suite against SeaweedFS and against Lethe on it, and compares the outcomes."""

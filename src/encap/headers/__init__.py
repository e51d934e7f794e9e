"""One module a protocol: pure data, no I/O. `encap.registry` finds a header by its path name."""

"""What several tests need: the golden cases, the mount, the trace of system calls."""

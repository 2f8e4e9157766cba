"""The node tree as a mounted file system: the only async code, and the only place that knows pyfuse3 and trio.

`options` and `mountpoint` import neither, so that a command line can be checked before anything is loaded.
"""

"""Which bytes replace which: the algebra of redundancy. Pure; knows nothing of the rest of raidfs."""

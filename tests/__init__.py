"""The tests of raidfs; folders mirror those of the package."""

"""`raidfs umount`: end a mount and wait until it is gone."""

from __future__ import annotations

import click

from raidfs.fuse.unmount import end_mount


@click.command()
@click.argument("mountpoint")
def umount(mountpoint: str) -> None:
    """Unmount an array; returns once the mount and its daemon are gone."""
    end_mount(mountpoint)

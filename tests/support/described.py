"""Descriptions of every kind, drawn from the fields of their dataclasses: what a file must be able to hold."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape, State, usable_size
from raidfs.array.front import Front
from raidfs.array.shape import Level, Shape
from raidfs.array.toml_checks import FORMATS
from raidfs.extents import Extents

MEMBERS = 4
BEFORE = Shape(Level.RAID5, "left-symmetric", 4096, 3)
SHAPES = (
    Shape(Level.RAID5, "right-asymmetric", 65536, MEMBERS),
    Shape(Level.RAID6, "ddf-N-continue", 512, MEMBERS),
    Shape(Level.RAID10, "far=2", 8192, MEMBERS),
    Shape(Level.RAID10, "offset=2", 8192, MEMBERS),
    Shape(Level.RAID1, "mirrored", 0, MEMBERS),
    Shape(Level.RAID0, "undeclared", 4096, MEMBERS),
    Shape(Level.LINEAR, "concatenated", 0, MEMBERS),
    Shape(Level.RAID4, "parity-last", 4096, MEMBERS),
    Shape(Level.RAID5, "table", 4096, MEMBERS, ((3, 1, 0, 2), (0, 1, 2, 3), (0, 1, 3, 2))),
    Shape(Level.RAID6, "table", 4096, MEMBERS, ((3, 1, 0, 2), (0, 1, 2, 3)), ((7, 254), (0, 1))),
    Shape(Level.RAID10, "table", 4096, MEMBERS, ((0, 1, 0, 1), (3, 2, 3, 2)), regions=2),
)
_ANY_LETTER = st.characters(min_codepoint=1, exclude_categories=["Cs"])
_PATHS = st.binary(min_size=1, max_size=6).filter(lambda raw: 0 not in raw)
_TEXTS = st.text(_ANY_LETTER, max_size=12) | _PATHS.map(lambda raw: raw.decode(errors="surrogateescape"))
_SIZES = st.integers(0, (1 << 60) - 1)
_COUNTS = st.integers(0, (1 << 64) - 1)
_ROLES = st.integers(0, MEMBERS - 1)
_ANYWHERE = st.lists(st.tuples(_SIZES, _SIZES).map(lambda pair: (min(pair), max(pair))), max_size=4).map(Extents)
_UUIDS = st.binary(min_size=16, max_size=16).map(lambda raw: raw.hex(":", 4))

SMALLEST = 1 << 20
"""What a member gives at least [bytes]."""
_WITHIN = st.integers(0, SMALLEST // 2)
_EXTENTS = st.lists(st.tuples(_WITHIN, _WITHIN).map(lambda pair: (min(pair), max(pair))), max_size=4).map(Extents)


def kinds_of(cls: type) -> dict[str, Any]:
    """Return the type of every field, resolved."""
    return {each.name: get_type_hints(cls)[each.name] for each in fields(cls)}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Draw a value of a type as it stands in a dataclass."""
    origin = get_origin(kind)
    if origin is UnionType:
        return st.one_of(*map(values, get_args(kind)))
    if origin is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    if kind is NoneType:
        return st.none()
    if kind is Extents:
        return _EXTENTS
    if kind is Shape:
        return st.sampled_from(SHAPES)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is Front:
        return _fronts()
    if isinstance(kind, type) and is_dataclass(kind):
        return st.builds(kind, **{name: values(each) for name, each in kinds_of(kind).items()})
    return {bool: st.booleans(), int: _SIZES, str: _TEXTS}[kind]


@st.composite
def _fronts(draw: st.DrawFn) -> Front:
    """Draw a front; no row is two things."""
    given = {name: draw(values(kind)) for name, kind in kinds_of(Front).items()}
    taken = Extents()
    for name in ("written", "likely_written", "likely_left", "left"):
        given[name] = given[name].difference(taken)
        taken = taken.union(given[name])
    return Front(**given)


@st.composite
def descriptions(draw: st.DrawFn) -> ArrayDescription:
    """Draw an array; every field of every dataclass varies, as far as it does not contradict the others."""
    shape = draw(st.sampled_from(SHAPES))
    reshape = _reshape(draw, shape) if shape.has_parity and shape.level is Level.RAID5 and draw(st.booleans()) else None
    members = tuple(_member(draw, role) for role in range(MEMBERS + 2))
    given = {name: draw(values(kind)) for name, kind in kinds_of(ArrayDescription).items()}
    given |= {"shape": shape, "reshape": reshape, "members": members}
    given |= {"component_size": draw(st.integers(SMALLEST, 1 << 30))}
    given |= {"uuid": draw(_UUIDS), "metadata": draw(st.sampled_from(FORMATS))}
    if "alternatives" in given and reshape is not None:
        given["alternatives"] = ()
    shapes = (BEFORE, shape) if reshape else (shape,)
    sizes = [member.component_size or given["component_size"] for member in members[:MEMBERS]]
    return ArrayDescription(**{**given, "size": usable_size(shapes, sizes)})


def _reshape(draw: st.DrawFn, shape: Shape) -> Reshape:
    given = {name: draw(values(kind)) for name, kind in kinds_of(Reshape).items()}
    chunk = max(BEFORE.chunk_size, shape.chunk_size)
    steps = draw(st.integers(0, min(10, SMALLEST // chunk)))
    given |= {"before": BEFORE, "after": shape, "position": steps * chunk * shape.n_data}
    given["direction"] = Direction.FORWARD  # as it has to be where there are more members
    if given["front"] is not None:
        moved = draw(st.integers(0, min(given["position"], shape.n_data * SMALLEST - given["position"])))
        cut = given["position"] + (moved if given["direction"] is Direction.FORWARD else -moved)
        given["front"] = replace(given["front"], cut=cut)
    return Reshape(**given)


def _member(draw: st.DrawFn, role: int) -> Member:
    """Draw a member; beyond the last role it is set apart, and may say anything."""
    member: Member = draw(values(Member))
    member = replace(
        member, path=f"{member.path}{role}", bad_blocks=draw(_ANYWHERE), device_uuid=draw(st.none() | _UUIDS)
    )
    if role < MEMBERS:
        own = draw(st.none() | st.integers(SMALLEST, 1 << 30))
        state = draw(st.sampled_from([each for each in State if each.serves]))
        offset, new_offset, recovered_to = (512 * draw(st.integers(0, SMALLEST // 512)) for _ in range(3))
        member = replace(member, role=role, state=state, component_size=own, recovered_to=recovered_to)
        return replace(member, data_offset=offset, new_data_offset=new_offset)
    state = draw(st.sampled_from([each for each in State if not each.serves]))
    offset = draw(st.integers(-(1 << 62), 1 << 62))
    has_role = {State.SPARE: st.none(), State.JOURNAL: st.none(), State.BACKUP: st.none(), State.REPLACEMENT: _ROLES}
    own_role = draw(has_role.get(state, st.none() | st.integers(0, 9)))
    if state is State.REPLACEMENT:
        offset = 512 * draw(st.integers(0, SMALLEST))
        member = replace(member, new_data_offset=offset, recovered_to=None)
    return replace(member, role=own_role, state=state, data_offset=offset)

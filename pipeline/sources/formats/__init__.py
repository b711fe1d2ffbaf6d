"""Readers of annotation files: each turns one published format into Annotations."""

from pipeline.registry import Registry
from pipeline.sources.formats.base import Names, Reader, Reading
from pipeline.sources.formats.egoit import read_egoit
from pipeline.sources.formats.egoplan import read_egoplan
from pipeline.sources.formats.egotaskqa import read_egotaskqa
from pipeline.sources.formats.egotempo import read_egotempo
from pipeline.sources.formats.hd_epic import read_hd_epic
from pipeline.sources.formats.native import read_native
from pipeline.sources.formats.nextqa import read_nextqa
from pipeline.sources.formats.qaego4d import read_qaego4d

__all__ = ["READERS", "Names", "Reader", "Reading"]

READERS: Registry[Reader] = Registry(
    "annotation format",
    "egovlm.formats",
    {
        "native": read_native,
        "egoit": read_egoit,
        "egoplan": read_egoplan,
        "egotaskqa": read_egotaskqa,
        "hd_epic": read_hd_epic,
        "qaego4d": read_qaego4d,
        "egotimeqa": read_qaego4d,
        "egoexolearn": read_egoit,
        "egotempo": read_egotempo,
        "nextqa": read_nextqa,
    },
)
"""Name of the form in params.yaml -> its reader."""

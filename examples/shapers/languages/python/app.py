"""What the host calls: the interface `shaping` of wit/plugin.wit. componentize-py generates wit_world; all imports have to be up here."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.shaping import Family, Number, NumberType, Opened, Placed, Placement, Slot_Value
from wit_world.imports.types import Cells, Description, Kind

import shaper


class Shaping(exports.Shaping):
    def catalogue(self) -> list[Description]:
        return [Description(shaper.NAME, shaper.SUMMARY, "")]

    def open(self, name: str, options: str) -> Opened:
        if name != shaper.NAME:
            raise Err(f"there is no shaper `{name}` here")
        try:
            metric = shaper.parse(options)
        except ValueError as error:
            raise Err(str(error))
        families = [
            Family(family, metric["help"], "", Kind.COUNTER, metric["labels"], [])
            for family in shaper.family_names(metric)
        ]
        # Nothing is kept: one handle serves all.
        return Opened(0, families, [Number(offset, NumberType.U64) for offset in shaper.NUMBERS.values()])

    def place(self, handle: int, rows: int, keys: Cells, labels: list[Cells]) -> Placed:
        placements = [Placement(row, family, Slot_Value(), number, 1.0) for row, family, number in shaper.placements(rows)]
        return Placed(placements, [], [])

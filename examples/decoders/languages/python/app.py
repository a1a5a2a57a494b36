"""What the host calls: the interface `decoding` of wit/plugin.wit. componentize-py generates wit_world; all imports have to be up here."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.decoding import Decoded
from wit_world.imports.types import Cells, Description, RowError

import decoder

# What was opened; a decoder's handle is its index.
opened: list[dict] = []


class Decoding(exports.Decoding):
    def catalogue(self) -> list[Description]:
        return [Description(decoder.NAME, decoder.SUMMARY, decoder.SCHEMA)]

    def open(self, name: str, options: str) -> int:
        if name != decoder.NAME:
            raise Err(f"there is no decoder `{name}` here")
        try:
            opened.append(decoder.parse(options))
        except ValueError as error:
            raise Err(str(error))
        return len(opened) - 1

    def decode(self, handle: int, input: Cells) -> Decoded:
        data, ends, errors = decoder.decode(input.bytes, input.ends, opened[handle])
        return Decoded(Cells(data, ends), [], [], [RowError(row, message) for row, message in errors])

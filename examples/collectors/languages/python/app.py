"""What the host calls: the interface `collecting` of wit/plugin.wit. componentize-py generates wit_world; all imports have to be up here."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.collecting import Failure_Denied, Failure_Invalid, Failure_Unreachable, Family, Number_Real, Request, Sample, Value_Number
from wit_world.imports import files
from wit_world.imports.types import Description, Kind

import loadavg


def read(path: str) -> str:
    try:
        return files.read(path).decode()
    except Err as error:
        match error.value:
            case files.FileError_Denied(why):
                raise Err(Failure_Denied(why))
            case files.FileError_NotFound():
                raise Err(Failure_Unreachable(f"there is no {path}"))
            case other:
                raise Err(Failure_Unreachable(f"{path}: {other.value}"))


class Collecting(exports.Collecting):
    def catalogue(self) -> list[Description]:
        return [Description(loadavg.NAME, "the load average over 1, 5 and 15 minutes", "")]

    def open(self, name: str, options: str) -> int:
        if name != loadavg.NAME:
            raise Err(f"there is no collector `{name}` here")
        for key in json.loads(options or "{}"):
            raise Err(f"{loadavg.NAME} has no option `{key}`")
        # Nothing is kept: one handle serves all.
        return 0

    def collect(self, handle: int, request: Request) -> list[Family]:
        try:
            numbers = loadavg.parse(read(loadavg.PATH))
        except ValueError as error:
            raise Err(Failure_Invalid(str(error)))
        samples = [Sample([window], Value_Number(Number_Real(number))) for window, number in numbers.items()]
        return [Family(loadavg.NAME, "Runnable tasks, averaged over a window.", "", Kind.GAUGE, ["window"], samples)]

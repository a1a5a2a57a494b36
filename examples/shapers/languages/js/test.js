import assert from "node:assert/strict";
import { test } from "node:test";

import { placements, shaping } from "./shaper.js";

const open = (options) => shaping.open(shaping.catalogue()[0].name, JSON.stringify(options));
const metric = { name: "cache", help: "Looks into the cache.", labels: ["level"] };

test("two counters with the metric's labels", () => {
  const { families, numbers } = open({ metric });
  assert.deepEqual(families.map((family) => family.name), ["cache_hits_total", "cache_misses_total"]);
  assert.deepEqual(families.map((family) => family.labels), [["level"], ["level"]]);
  assert.deepEqual(numbers.map((number) => number.offset), [0, 8]);
});

test("there are no options", () => {
  assert.throws(() => open({ metric, color: 1 }), (why) => /has no option `color`/.test(why));
});

test("each row counts in both", () => {
  assert.deepEqual(placements(2).map(({ row, family, number }) => [row, family, number]), [[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]]);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { families, NAME } from "./loadavg.js";

test("three numbers", () => {
  const [family] = families("0.25 0.5 1.00 2/345 6789\n");
  assert.equal(family.name, NAME);
  assert.deepEqual(
    family.samples.map((sample) => [sample.labelValues[0], sample.value.val.val]),
    [["1m", 0.25], ["5m", 0.5], ["15m", 1]],
  );
});

test("a file that says something else", () => {
  assert.throws(() => families("0.25 x\n"), /expected three numbers/);
});

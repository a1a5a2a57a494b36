import assert from "node:assert/strict";
import { test } from "node:test";

import { decoding, parse, text } from "./decoder.js";

const cell = (...bytes) => new Uint8Array(bytes);

test("states have names", () => {
  assert.equal(text(cell(1, 0, 0, 0), {}), "ESTABLISHED");
  assert.equal(text(cell(10, 0, 0, 0), { lowercase: true }), "listen");
  assert.equal(text(cell(0, 1, 0, 0), {}), "UNKNOWN:256");
});

test("options are checked", () => {
  assert.deepEqual(parse("{}"), {});
  assert.throws(() => parse('{"color": true}'), /has no option `color`/);
  assert.throws(() => parse('{"lowercase": 1}'), /true or false/);
});

test("a batch has one cell a row, and an error costs its row only", () => {
  const { name } = decoding.catalogue()[0];
  const decoder = decoding.open(name, "{}");
  const answer = decoding.decode(decoder, { bytes: cell(1, 0, 0, 0, 9, 7, 0, 0, 0), ends: new Uint32Array([4, 5, 9]) });
  assert.equal(new TextDecoder().decode(answer.cells.bytes), "ESTABLISHEDCLOSE");
  assert.deepEqual([...answer.cells.ends], [11, 11, 16]);
  assert.deepEqual(answer.errors, [{ row: 1, message: `${name} wants 4 bytes, got 1` }]);
});

// The shaper hits_misses: a map's value of two u64, hits and misses, becomes two counters.
//
// The functions of `shaping` are those of wit/plugin.wit, in camel case. What `open` throws is shown to the operator.

const NAME = "hits_misses";
const SUMMARY = "a value of two u64, hits and misses: two counters";

// What was opened; a shaper's handle is its index.
const opened = [];

/** The families of a metric: {name, help, labels}. */
export function families(metric) {
  return ["hits", "misses"].map((what) => ({
    name: `${metric.name}_${what}_total`,
    help: metric.help,
    unit: "",
    kind: "counter",
    labels: metric.labels,
    bounds: new Float64Array(),
  }));
}

/** Number 0 of every row goes to family 0, number 1 to family 1. */
export function placements(rows) {
  const all = [];
  for (let row = 0; row < rows; row++) {
    for (const family of [0, 1]) {
      all.push({ row, family, slot: { tag: "value" }, number: family, scale: 1 });
    }
  }
  return all;
}

export const shaping = {
  catalogue() {
    return [{ name: NAME, summary: SUMMARY, optionsSchema: "" }];
  },

  open(name, options) {
    // A result's error is thrown as the value itself: here a string.
    if (name !== NAME) throw `there is no shaper \`${name}\` here`;
    const { metric, ...others } = JSON.parse(options);
    if (Object.keys(others).length > 0) throw `${NAME} has no option \`${Object.keys(others)[0]}\``;
    opened.push(metric);
    return {
      shaper: opened.length - 1,
      families: families(metric),
      numbers: [{ offset: 0, encoding: "u64" }, { offset: 8, encoding: "u64" }],
    };
  },

  place(shaper, rows, keys, labels) {
    return { placements: placements(rows), labels: [], errors: [] };
  },
};

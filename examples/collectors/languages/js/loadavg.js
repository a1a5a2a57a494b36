// What the collector load_average makes of /proc/loadavg. No import from the host here, so that Node can test it.

export const NAME = "load_average";
export const PATH = "/proc/loadavg";

const WINDOWS = ["1m", "5m", "15m"];

/** The families, as in `collecting` of wit/plugin.wit. Throws where the text makes no sense. */
export function families(text) {
  const numbers = text.split(" ").slice(0, WINDOWS.length).map(Number);
  if (numbers.length < WINDOWS.length || numbers.some(Number.isNaN)) {
    throw new Error(`${PATH}: expected three numbers, found ${JSON.stringify(text)}`);
  }
  const sample = (window, index) => ({
    labelValues: [window],
    value: { tag: "number", val: { tag: "real", val: numbers[index] } },
  });
  return [{
    name: NAME,
    help: "Runnable tasks, averaged over a window.",
    unit: "",
    kind: "gauge",
    labelNames: ["window"],
    samples: WINDOWS.map(sample),
  }];
}

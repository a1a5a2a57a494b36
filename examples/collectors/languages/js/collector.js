// What the host calls: the interface `collecting` of wit/plugin.wit, in camel case.

import { read } from "exporter:plugin/files@0.1.0";

import { families, NAME, PATH } from "./loadavg.js";

/** The operator's view of what `read` throws, as a `failure`. */
function failure(error) {
  const what = error?.payload ?? error;
  switch (what?.tag) {
    case "denied": return { tag: "denied", val: what.val };
    case "not-found": return { tag: "unreachable", val: `there is no ${PATH}` };
    case "too-large": return { tag: "invalid", val: `${PATH} is larger than ${what.val} bytes` };
    case "io": return { tag: "unreachable", val: what.val };
    default: return { tag: "invalid", val: String(error?.message ?? error) };
  }
}

export const collecting = {
  catalogue() {
    return [{ name: NAME, summary: "the load average over 1, 5 and 15 minutes", optionsSchema: "" }];
  },

  open(name, options) {
    // A result's error is thrown as the value itself: here a string.
    if (name !== NAME) throw `there is no collector \`${name}\` here`;
    for (const key of Object.keys(JSON.parse(options || "{}"))) throw `${NAME} has no option \`${key}\``;
    // Nothing is kept: one handle serves all.
    return 0;
  },

  collect(collector, request) {
    try {
      // The file is ASCII; this JavaScript engine has no TextDecoder.
      return families(String.fromCharCode(...read(PATH)));
    } catch (error) {
      throw failure(error);
    }
  },
};

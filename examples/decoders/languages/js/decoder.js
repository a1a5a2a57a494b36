// The decoder tcp_state: 4 bytes, a TCP state of the kernel, become its name.
//
// The functions of `decoding` are those of wit/plugin.wit, in camel case. What they throw becomes an error: of `open` for the operator. In
// `decode` an error belongs to its row: see `errors`.

const NAME = "tcp_state";
const SUMMARY = "4 bytes, a TCP state: its name";
const SCHEMA = '{"type": "object", "properties": {"lowercase": {"type": "boolean"}}}';

// include/net/tcp_states.h, from 1 on.
const STATES = [
  "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
  "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
];

// What was opened; a decoder's handle is its index.
const opened = [];

/** The text of one cell, a Uint8Array. Throws where there is none. */
export function text(cell, options) {
  if (cell.length !== 4) {
    throw new Error(`${NAME} wants 4 bytes, got ${cell.length}`);
  }
  const state = new DataView(cell.buffer, cell.byteOffset, 4).getUint32(0, true);
  const name = STATES[state - 1] ?? `UNKNOWN:${state}`;
  return options.lowercase ? name.toLowerCase() : name;
}

/** The options as an object, or an error that names what is wrong. */
export function parse(json) {
  const options = JSON.parse(json || "{}");
  for (const [key, value] of Object.entries(options)) {
    if (key !== "lowercase") throw new Error(`${NAME} has no option \`${key}\`; it has: lowercase`);
    if (typeof value !== "boolean") throw new Error("`lowercase` is true or false");
  }
  return options;
}

export const decoding = {
  catalogue() {
    return [{ name: NAME, summary: SUMMARY, optionsSchema: SCHEMA }];
  },

  open(name, options) {
    try {
      if (name !== NAME) throw new Error(`there is no decoder \`${name}\` here`);
      opened.push(parse(options));
      return opened.length - 1;
    } catch (error) {
      // A result's error is thrown as the value itself: here a string.
      throw error.message;
    }
  },

  decode(decoder, input) {
    const options = opened[decoder];
    const bytes = [];
    const ends = new Uint32Array(input.ends.length);
    const errors = [];
    let start = 0;
    input.ends.forEach((end, row) => {
      try {
        // ASCII only: a name's characters are its bytes.
        for (const letter of text(input.bytes.slice(start, end), options)) bytes.push(letter.charCodeAt(0));
      } catch (error) {
        errors.push({ row, message: error.message });
      }
      ends[row] = bytes.length;
      start = end;
    });
    return { cells: { bytes: new Uint8Array(bytes), ends }, dropped: new Uint32Array(), provisional: new Uint32Array(), errors };
  },
};

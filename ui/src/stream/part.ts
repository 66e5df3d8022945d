// A text that comes in chunks. Offsets count characters as the server does: code points, not UTF-16 units.

export interface Part {
  readonly text: string;
  readonly length: number;
}

export const EMPTY: Part = { text: "", length: 0 };

export function whole(text: string): Part {
  return { text, length: lengthOf(text) };
}

/** `part` with what a chunk adds to it; what was seen before is dropped. */
export function extended(part: Part, offset: number, content: string): Part {
  const known = part.length - offset;
  const size = lengthOf(content);
  if (known >= size) return part;
  const fresh = known > 0 ? Array.from(content).slice(known).join("") : content;
  return { text: part.text + fresh, length: offset + size };
}

function lengthOf(text: string): number {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text).length : text.length;
}

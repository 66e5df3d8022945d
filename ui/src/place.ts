// Where these pages are, and whose workers they show: whoever serves the document says so in it.

const { base, scope } = document.documentElement.dataset;

/** Before the path of every page and every request. */
export const BASE = base ?? "";

/** Whether a control plane serves them, for all its workers, and not a machine for its own. */
export const IS_FLEET = scope === "fleet";

// What the key that the browser was let in with may do. The control plane decides; this only says it before.

import { useWorld } from "./context";

export type Deed = "run" | "tend";

/** Why not; null where it may. */
export function useMay(deed: Deed): string | null {
  const guest = useWorld().session.guest;
  if (guest === null || guest.key_scope === "admin") return null;
  if (guest.key_scope === "client") {
    return deed === "run" ? null : "Only a key with scope admin may ask something of a worker.";
  }
  return `The key ${guest.key_name} may only look (scope read).`;
}

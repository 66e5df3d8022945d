// A map that only grows, as a value: another one with a few entries more costs those few, not all that there are.

const MOST_RECENT = 1024;

export class Growing<K, V> {
  constructor(
    private readonly settled: ReadonlyMap<K, V> = new Map(),
    private readonly recent: ReadonlyMap<K, V> = new Map(),
  ) {}

  get(key: K): V | undefined {
    return this.recent.get(key) ?? this.settled.get(key);
  }

  /** This one and `more`. */
  with(more: ReadonlyMap<K, V>): Growing<K, V> {
    if (more.size === 0) return this;
    const recent = new Map([...this.recent, ...more]);
    return recent.size < MOST_RECENT
      ? new Growing(this.settled, recent)
      : new Growing(new Map([...this.settled, ...recent]));
  }
}

// Small charts, drawn as SVG: each says in words what it shows, for those who do not see it.

export function Bars({
  values,
  bad = [],
  label,
}: {
  values: readonly number[];
  bad?: readonly number[];
  label: string;
}) {
  const most = Math.max(1, ...values.map((value, index) => value + (bad[index] ?? 0)));
  const width = 100 / Math.max(1, values.length);
  return (
    <svg className="chart" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label={label}>
      {values.map((value, index) => {
        const [good, failed] = [(value / most) * 29, ((bad[index] ?? 0) / most) * 29];
        return (
          <g key={index}>
            <rect className="bar" x={index * width} width={width * 0.72} y={30 - good} height={good} />
            <rect className="bar bad" x={index * width} width={width * 0.72} y={30 - good - failed} height={failed} />
          </g>
        );
      })}
      <line className="axis" x1="0" x2="100" y1="29.8" y2="29.8" />
    </svg>
  );
}

/** A line; null is a gap. */
export function Line({ values, label }: { values: readonly (number | null)[]; label: string }) {
  const known = values.filter((value): value is number => value !== null);
  const most = Math.max(1, ...known) * 1.1;
  const step = 100 / Math.max(1, values.length - 1);
  let path = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) pen = false;
    else {
      path += `${pen ? "L" : "M"}${(index * step).toFixed(2)} ${(30 - (value / most) * 29).toFixed(2)}`;
      pen = true;
    }
  });
  return (
    <svg className="chart" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label={label}>
      {values.map((value, index) =>
        value === null ? <rect key={index} className="gap" x={index * step} y="0" width={step} height="30" /> : null,
      )}
      <path className="line" d={path} vectorEffect="non-scaling-stroke" />
      <line className="axis" x1="0" x2="100" y1="29.8" y2="29.8" />
    </svg>
  );
}

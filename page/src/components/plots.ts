import {
  areaY,
  dot,
  gridY,
  lineY,
  plot,
  rectY,
  ruleY,
  text,
  tip,
  pointerX,
  type PlotOptions,
} from '@observablehq/plot'
import { element, fill } from './dom.ts'
import { finite, number } from './format.ts'

type Num = number | string

/** A model's colour in the current theme; `styles.css` defines both themes. */
export const colourOf = (colour: number): string => `var(--model-${String(colour)})`

/** A chart with a caption that describes it, redrawn when its width changes. */
export function figure(caption: string, draw: (width: number) => Element): HTMLElement {
  const place = element('div', { class: 'chart' })
  let drawn = 0
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry?.contentRect.width ?? 0)
    if (width === 0 || width === drawn) return
    drawn = width
    const chart = draw(width)
    chart.setAttribute('role', 'img')
    // The chart is one image to assistive technology; Plot's labels of its parts are removed.
    for (const part of chart.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label')
    chart.setAttribute('aria-label', caption)
    fill(place, chart)
  }).observe(place)
  return element('figure', {}, element('figcaption', {}, caption), place)
}

export interface HistogramCounts {
  readonly edges: readonly Num[]
  readonly counts: readonly number[]
  /** The expected count per bin; null without theory. */
  readonly expected: readonly Num[] | null
}

/** Densities: the sample as bars, the theory as a line. */
export function histogram(counted: HistogramCounts, colour: string, width: number, height = 240): Element {
  const { counts, expected } = counted
  const edges = counted.edges.map((edge) => finite(edge) ?? 0)
  const total = counts.reduce((sum, value) => sum + value, 0)
  const bins = counts.map((value, index) => {
    const [from = 0, to = 0] = edges.slice(index, index + 2)
    const area = total * (to - from) || 1
    return { from, to, value: value / area, theory: (finite(expected?.[index]) ?? 0) / area }
  })
  return plot({
    ...frame(width, height),
    x: { label: 'value', ticks: Math.max(3, Math.floor(width / 90)), nice: false },
    y: { label: 'density', ticks: 4, zero: true },
    marks: [
      gridY({ ticks: 4, ...GRID }),
      rectY(bins, {
        x1: 'from',
        x2: 'to',
        y: 'value',
        fill: colour,
        fillOpacity: 0.5,
        inset: 0.25,
      }),
      ...(expected === null
        ? []
        : [
            lineY(
              bins.map(({ from, to, theory }) => ({ x: (from + to) / 2, theory })),
              { x: 'x', y: 'theory', stroke: 'currentColor', strokeWidth: 1.75 },
            ),
          ]),
      ruleY([0], { stroke: 'currentColor', strokeOpacity: 0.4 }),
    ],
  })
}

/** Singular values by rank, with the edges of the Marchenko-Pastur law. */
export function spectrum(
  values: readonly number[],
  edges: { readonly min: number; readonly max: number } | null,
  colour: string,
  width: number,
  height = 240,
): Element {
  const points = values.map((value, index) => ({ rank: index + 1, value }))
  const marked = edges === null ? [] : [edges.max, edges.min]
  return plot({
    ...frame(width, height),
    x: { label: 'rank', ticks: 5, nice: false },
    y: { label: 'singular value', ticks: 4, zero: true, grid: false },
    marks: [
      gridY({ ticks: 4, ...GRID }),
      dot(points, { x: 'rank', y: 'value', r: values.length > 200 ? 1.5 : 2.5, fill: colour }),
      ruleY(marked, { stroke: 'currentColor', strokeDasharray: '5 4', strokeOpacity: 0.8 }),
      // The points descend from left to right, so each label is placed away from them.
      ...marked.map((edge, index) =>
        text([edge], {
          y: (at: number) => at,
          text: (at: number) => `edge ${number(at)}`,
          ...{
            frameAnchor: index === 0 ? 'right' : 'left',
            dy: -7,
            dx: index === 0 ? 0 : 4,
            fill: 'currentColor',
          },
        }),
      ),
    ],
  })
}

export interface Series {
  readonly label: string
  readonly colour: number
  readonly points: readonly SeriesPoint[]
  /** The prediction of mean-field theory, if there is one. */
  readonly predicted?: readonly Num[] | undefined
}
interface SeriesPoint {
  readonly name: string
  readonly value: Num
  readonly interval: readonly Num[] | null
}

/** A quantity by block on a logarithmic axis, a line with its interval for each model. */
export function byBlock(series: readonly Series[], quantity: string, width: number, height = 300): Element {
  const marks = series.flatMap(({ label, colour, points, predicted }) => {
    const rows = points.map(({ name, value, interval }, index) => {
      const [low, high] = (interval ?? []).map(positive)
      return { index: index + 1, name, label, value: positive(value), low, high }
    })
    const stroke = colourOf(colour)
    const theory = (predicted ?? []).map((value, index) => ({ index: index + 1, value: positive(value) }))
    return [
      areaY(
        rows.filter(({ low, high }) => low !== undefined && high !== undefined),
        { x: 'index', y1: 'low', y2: 'high', fill: stroke, fillOpacity: 0.16 },
      ),
      lineY(theory, { x: 'index', y: 'value', stroke, strokeDasharray: '3 4', strokeWidth: 1.5 }),
      lineY(rows, { x: 'index', y: 'value', stroke, strokeWidth: 2 }),
      dot(rows, { x: 'index', y: 'value', fill: stroke, r: rows.length > 30 ? 1.75 : 3 }),
      tip(
        rows,
        pointerX({
          ...{ x: 'index', y: 'value', fill: 'var(--surface)', stroke: 'var(--line)' },
          title: ({ name, label, value }: { name: string; label: string; value: number | undefined }) =>
            `${label}\n${name}: ${number(value ?? null)}`,
        }),
      ),
    ]
  })
  const ticks = logarithmicTicks(
    series.flatMap(({ points }) => points.flatMap(({ value, interval }) => [value, ...(interval ?? [])])),
  )
  const longest = Math.max(...series.map(({ points }) => points.length))
  return plot({
    ...frame(width, height),
    x: {
      label: 'block',
      domain: longest > 1 ? [1, longest] : [0, 2],
      ticks: Math.min(longest, Math.max(2, Math.floor(width / 70))),
      tickFormat: (tick: number) => (Number.isInteger(tick) ? String(tick) : ''),
      inset: 8,
    },
    y: { type: 'log', label: quantity, ticks, tickFormat: (tick: number) => number(tick) },
    marks: [gridY(ticks, GRID), ...marks],
  })
}

export const GRID = { stroke: 'var(--line)', strokeOpacity: 1 } as const

export function frame(width: number, height: number): PlotOptions {
  return {
    ...{ width, height, marginLeft: 52, marginRight: 16, marginTop: 24, marginBottom: 36 },
    style: { background: 'transparent', fontSize: '12px', fontFamily: 'inherit', overflow: 'visible' },
  }
}

/**
 * At most seven round numbers that span the values: 1, 2 and 5 of every decade, or whole decades, or every
 * second one.
 */
function logarithmicTicks(values: readonly Num[]): number[] {
  const logarithms = values.flatMap((value) => positive(value) ?? []).map(Math.log10)
  const [from, to] = [Math.min(...logarithms), Math.max(...logarithms)]
  if (!Number.isFinite(from) || !Number.isFinite(to)) return []
  const decades = Array.from(
    { length: Math.ceil(to) - Math.floor(from) + 1 },
    (_, index) => Math.floor(from) + index,
  )
  const finest = decades.flatMap((decade) => [1, 2, 5].map((digit) => digit * 10 ** decade))
  const within = finest.filter((tick) => Math.log10(tick) >= from - 0.05 && Math.log10(tick) <= to + 0.05)
  if (within.length <= 7) return within
  const step = Math.ceil(decades.length / 7)
  return decades.filter((_, index) => index % step === 0).map((decade) => 10 ** decade)
}

/** A logarithmic axis shows positive numbers only. */
export function positive(value: Num): number | undefined {
  const known = finite(value)
  return known !== undefined && known > 0 ? known : undefined
}

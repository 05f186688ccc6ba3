export interface Size {
  readonly width: number
  readonly height: number
}

/** Positions `first` to `end`, without `end`. */
export interface Range {
  readonly first: number
  readonly end: number
}

/** The size of an image whose shorter side is resized to `shortSide`, rounded as torchvision's `F.resize`. */
export function resizeShortSide({ width, height }: Size, shortSide: number): Size {
  const long = Math.trunc((shortSide * Math.max(width, height)) / Math.min(width, height))
  return width <= height ? { width: shortSide, height: long } : { width: long, height: shortSide }
}

/** The positions of a side that torchvision's `CenterCrop` keeps: all if the side is not longer than the crop. */
export function cropCentre(length: number, crop: number): Range {
  if (length <= crop) return { first: 0, end: length }
  const first = roundHalfToEven((length - crop) / 2)
  return { first, end: first + crop }
}

/** Python's `round` of a number of halves. */
function roundHalfToEven(value: number): number {
  const down = Math.floor(value)
  return value - down === 0.5 ? down + (down % 2) : Math.round(value)
}

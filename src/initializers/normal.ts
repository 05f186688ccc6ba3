/**
 * The complementary error function by its continued fraction and series, to about 1e-15 relative (Abramowitz and
 * Stegun 7.1.6 and 7.1.14).
 */
function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x)
  if (x < 2) {
    let term = x
    let sum = x
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (2 * x * x) / (2 * n + 1)
      sum += term
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
  }
  let fraction = 0
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (x + fraction)
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction))
}

/** P(Z <= z) of the standard normal. */
export function normalCdf(z: number): number {
  return erfc(-z / Math.SQRT2) / 2
}

/** P(|Z| >= |z|), two-sided. */
export function normalTail(z: number): number {
  return erfc(Math.abs(z) / Math.SQRT2)
}

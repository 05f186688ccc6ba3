/**
 * scikit-learn's digits, in file order: the first pictures train, the others, mostly by other writers, test.
 * Pixels are 0 to 16; the network gets (pixel - mean) / deviation, both over all training pixels.
 */
export const DIGITS = { shape: [8, 8, 1], classes: 10, training: 1437, test: 360 } as const

/** A loss above this multiple of the loss of guessing, ln(classes), counts as diverged. */
export const DIVERGED = 100

/**
 * scikit-learn's digits in file order. The first pictures are for training, the others, mostly by other writers,
 * for tests. Pixels are 0 to 16; the input is (pixel - mean) / deviation, both over all training pixels.
 */
export const DIGITS = { shape: [8, 8, 1], classes: 10, training: 1437, test: 360 } as const

/** A loss above this multiple of ln(classes), the loss of guessing, counts as diverged. */
export const DIVERGED = 100

/**
 * scikit-learn's digits, in the file's order: the first pictures train, the others, mostly of other writers, test. Pixels
 * are 0 to 16; the network gets (pixel - mean) / deviation, both over all pixels that train.
 */
export const DIGITS = { shape: [8, 8, 1], classes: 10, training: 1437, test: 360 } as const

/** A loss beyond so many times that of guessing, ln(classes), is taken for diverged. */
export const DIVERGED = 100

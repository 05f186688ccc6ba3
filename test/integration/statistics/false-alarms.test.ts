import { pino } from 'pino'
import { expect, test } from 'vitest'
import { startAnalysis } from '../../../src/analysis/client/analysis-process.ts'
import { planRequest } from '../../../src/network/plan.ts'

const SEEDS = 200
const options = { histogram: false, quantiles: false, spectrum: false, operatorSpectrum: false, bins: 1 }

test('at most two of 200 freshly drawn networks are flagged', async () => {
  const analysis = startAnalysis({ logger: pino({ level: 'silent' }), maxQueue: 1 })
  try {
    const flagged = []
    const smallest: number[] = []
    for (let seed = 0; seed < SEEDS; seed++) {
      const kernel = ['glorot_uniform', 'he_normal', 'random_normal'][seed % 3] ?? ''
      const { specification } = planRequest({ architecture: 'resnet20', seed, initializers: { kernel } }, 1e6)
      const { totals } = await analysis.statistics({ specification }, options)
      smallest.push(totals.smallest_p_holm ?? NaN)
      if (totals.flagged.length > 0) flagged.push(seed)
    }
    expect(flagged.length).toBeLessThanOrEqual(2)
    // Holm's smallest p is neither too large nor too small: about half of the values are below 0.5.
    expect(smallest.filter((p) => p < 0.05).length).toBeLessThan(25)
    expect(smallest.filter((p) => p < 0.5).length).toBeGreaterThan(40)
  } finally {
    await analysis.close()
  }
}, 300_000)

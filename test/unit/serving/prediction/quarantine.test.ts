import { describe, expect, test } from 'vitest'
import { ServiceError } from '../../../../src/common/errors.ts'
import { Quarantine } from '../../../../src/serving/prediction/quarantine.ts'
import { settled } from '../../support/memory-engine.ts'

const MINUTE = 60_000

function setUp() {
  let now = 0
  const refused: string[] = []
  const quarantine = new Quarantine({ onQuarantine: (model) => refused.push(model), now: () => now })
  const deaths: boolean[] = []
  /** An engine call that ends on demand. */
  const begin = (kind: 'build' | 'predict', model: string) => {
    let dies = (): void => undefined
    let answers = (): void => undefined
    let begun = false
    const call = () => {
      begun = true
      return new Promise<void>((resolve, reject) => {
        answers = resolve
        dies = () => {
          reject(new ServiceError('ENGINE_CRASHED', 'the engine died'))
        }
      })
    }
    const ended = quarantine.run(kind, model, call, ({ alone }) => deaths.push(alone)).catch(() => undefined)
    return {
      get begun() {
        return begun
      },
      dies: async () => {
        dies()
        await ended
      },
      answers: async () => {
        answers()
        await ended
      },
    }
  }
  const end = async (how: 'dies' | 'answers', model = 'm', kind: 'build' | 'predict' = 'predict') => {
    const call = begin(kind, model)
    await settled()
    await call[how]()
  }
  const pass = (ms: number): void => {
    now += ms
  }
  return { quarantine, refused, deaths, begin, end, pass }
}

describe('a model', () => {
  test('that crashes the engine three times is blocked for ten minutes', async () => {
    const { quarantine, refused, end, pass } = setUp()
    await end('dies')
    await end('dies')
    expect(quarantine.blockedError('m')).toBeUndefined()
    await end('dies')
    expect(refused).toEqual(['m'])
    expect(quarantine.blockedError('m')).toMatchObject({ code: 'MODEL_QUARANTINED', retryAfterSeconds: 600 })
    expect(quarantine.blockedError('other')).toBeUndefined()
    pass(9 * MINUTE)
    expect(quarantine.blockedError('m')).toMatchObject({ retryAfterSeconds: 60 })
    pass(MINUTE)
    expect(quarantine.blockedError('m')).toBeUndefined()
    await end('dies')
    expect(quarantine.blockedError('m')).toBeUndefined()
  })

  test('has no strikes after a reset', async () => {
    const { quarantine, end } = setUp()
    for (let death = 0; death < 3; death++) await end('dies')
    quarantine.reset('m')
    await end('dies')
    await end('dies')
    expect(quarantine.blockedError('m')).toBeUndefined()
  })

  test('that succeeds in between is not blocked; a successful build does not count for predictions', async () => {
    const { quarantine, refused, end } = setUp()
    for (let round = 0; round < 4; round++) {
      await end('dies', 'healthy')
      await end('dies', 'healthy')
      await end('answers', 'healthy')
    }
    for (let round = 0; round < 3; round++) {
      await end('answers', 'poison', 'build')
      await end('dies', 'poison')
    }
    expect(refused).toEqual(['poison'])
    expect(quarantine.blockedError('healthy')).toBeUndefined()
  })

  test('whose crashes are far apart is not blocked', async () => {
    const { refused, end, pass } = setUp()
    for (let death = 0; death < 6; death++) {
      await end('dies')
      pass(6 * MINUTE)
    }
    expect(refused).toEqual([])
  })
})

describe('two models that shared a crash', () => {
  test('are not counted as its cause, and run alone until they succeed', async () => {
    const { quarantine, deaths, begin, end } = setUp()
    const [one, two] = [begin('predict', 'm'), begin('build', 'n')]
    await settled()
    await Promise.all([one.dies(), two.dies()])
    expect(deaths).toEqual([false, false])
    const [again, other, third] = [begin('predict', 'm'), begin('build', 'n'), begin('predict', 'o')]
    await settled()
    expect([again.begun, other.begun, third.begun]).toEqual([true, false, false])
    await again.answers()
    await settled()
    expect([other.begun, third.begun]).toEqual([true, false])
    await other.dies()
    await settled()
    expect(third.begun).toBe(true)
    await third.answers()
    expect(deaths).toEqual([false, false, true])
    await end('dies', 'n', 'build')
    expect(quarantine.blockedError('n')).toBeUndefined()
    await end('dies', 'n', 'build')
    expect(quarantine.blockedError('n')?.code).toBe('MODEL_QUARANTINED')
  })
})

test('random crashes raise the threshold for ten minutes', async () => {
  const { quarantine, end, pass } = setUp()
  expect(quarantine.requestCrashLimit).toBe(2)
  const call = () => Promise.reject(new ServiceError('ENGINE_CRASHED', 'the engine died'))
  await quarantine
    .run('predict', 'm', call, (death) => {
      death.claim()
      death.claim()
      death.settle()
      expect(quarantine.requestCrashLimit).toBe(2)
      death.settle()
    })
    .catch(() => undefined)
  expect(quarantine.requestCrashLimit).toBe(6)
  // In addition to the crash above.
  for (let death = 0; death < 7; death++) await end('dies')
  expect(quarantine.blockedError('m')).toBeUndefined()
  await end('dies')
  expect(quarantine.blockedError('m')?.code).toBe('MODEL_QUARANTINED')
  pass(11 * MINUTE)
  expect(quarantine.requestCrashLimit).toBe(2)
})

test('a model that was built before needs more crashed builds', async () => {
  const { quarantine, end } = setUp()
  await end('answers', 'm', 'build')
  for (let death = 0; death < 8; death++) await end('dies', 'm', 'build')
  expect(quarantine.blockedError('m')).toBeUndefined()
  await end('dies', 'm', 'build')
  expect(quarantine.blockedError('m')?.code).toBe('MODEL_QUARANTINED')
})

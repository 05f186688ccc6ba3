import { describe, expect, test } from 'vitest'
import { nameMatcher } from '../../../src/network/globs.ts'
import { planned } from '../support/requests.ts'

const KERNEL = 'stage1/block1/conv1/kernel'

describe('globs', () => {
  test.each([
    ['**', KERNEL],
    ['**kernel', KERNEL],
    ['stage**', KERNEL],
    ['stage1/**', KERNEL],
    ['**/kernel', KERNEL],
    ['**/kernel', 'kernel'],
    ['stage1/**/block1/**/kernel', KERNEL],
    ['stage1/***/**/conv1/kernel', KERNEL],
    ['stage*/*/conv*/k*l', KERNEL],
    ['s**l', KERNEL],
    [KERNEL, KERNEL],
  ])('%s matches %s', (glob, name) => {
    expect(nameMatcher(glob)(name)).toBe(true)
  })

  test.each([
    ['*', KERNEL],
    ['*/kernel', KERNEL],
    ['stage1/*/kernel', KERNEL],
    ['**/conv1', KERNEL],
    ['**/ernel', KERNEL],
    ['block1/**', KERNEL],
    ['stage?/**', KERNEL],
    ['stage[12]/**', KERNEL],
    ['{stage1,stem}/**', KERNEL],
    ['!stem/**', KERNEL],
    ['stage1.block1.conv1.kernel', KERNEL],
    ['', KERNEL],
  ])('%s does not match %s', (glob, name) => {
    expect(nameMatcher(glob)(name)).toBe(false)
  })

  test.each(['**/', '**/*', '*/**', '**e*', '**/e**', '*1**', '**/a**'])(
    'of repeated %s match quickly',
    (part) => {
      const names = planned({ architecture: 'resnet152' }).parameters.map(({ name }) => name)
      const matches = nameMatcher(`${part.repeat(256).slice(0, 255)}x`)
      const start = performance.now()
      expect(names.filter(matches)).toEqual([])
      expect(performance.now() - start).toBeLessThan(10_000)
    },
  )
})

import { BaseSequencer, type TestSequencerConstructor, type TestSpecification } from 'vitest/node'

/** Starts slow files first, so that no worker has a long file left when the others have finished. */
export function slowestFirst(slowest: readonly string[]): TestSequencerConstructor {
  const rank = ({ moduleId }: TestSpecification): number => {
    const index = slowest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
    return index < 0 ? slowest.length : index
  }
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
    }
  }
}

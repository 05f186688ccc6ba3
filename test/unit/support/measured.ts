import {
  Measure,
  planPasses,
  type Measurement,
  type RecordOptions,
  type TensorSource,
} from '../../../src/statistics/record.ts'

/** A tensor's record, measured in this thread. */
export async function measured(source: TensorSource, options: RecordOptions): Promise<Measurement> {
  const measure = new Measure(source, options)
  let record: Measurement | undefined
  for (let pass = 1; pass <= planPasses(source, options); pass++) {
    for await (const values of source.slices()) record = measure.add(values)
  }
  if (record === undefined) throw new Error('values are missing')
  return record
}

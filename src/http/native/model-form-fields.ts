import type { MultipartFile } from '@fastify/multipart'
import { fieldError } from '../../common/errors.ts'
import { parser } from '../../common/validation.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import type { WeightsImport } from '../../serving/models/import-weights.ts'
import type { PartialSpecification } from '../../network/merge-specifications.ts'
import { assertName } from '../../serving/models/names.ts'
import { readPart } from '../shared/forms.ts'
import { FormSpecification, LoadRequest } from '../shared/model-schemas.ts'
import { parseJsonBody } from '../shared/uploads.ts'

const FIELDS = ['spec', 'config', 'preprocessor_config', 'load'] as const
type Field = (typeof FIELDS)[number]
const PREPROCESSOR_FILE = 'preprocessor_config.json'

const parseSpecification = parser(FormSpecification)
const parseComplete = parser(SpecificationRequest)
const parseLoad = parser(LoadRequest)

/** The JSON parts of a model's form. */
export class FormFields {
  readonly #values = new Map<Field, unknown>()
  #name: string | undefined
  #specification: PartialSpecification | undefined
  #load: WeightsImport['load']
  #remaining: number

  /** `maxBytes` limits all parts together. */
  constructor(maxBytes: number) {
    this.#remaining = maxBytes
  }

  static has(name: string): boolean {
    return FIELDS.some((field) => field === name)
  }

  /** Reads and checks a part. Returns false for another name, or if the part has been read before. */
  async read({ fieldname, file, filename }: MultipartFile): Promise<boolean> {
    const name = fieldname === 'config' && filename === PREPROCESSOR_FILE ? 'preprocessor_config' : fieldname
    const field = FIELDS.find((known) => known === name)
    if (field === undefined || this.#values.has(field)) return false
    const bytes = await readPart(file, this.#remaining)
    this.#remaining -= bytes.length
    const value = await parseJsonBody(bytes, `the part "${field}"`)
    this.#values.set(field, value)
    if (field === 'spec') {
      ;({ name: this.#name, ...this.#specification } = parseSpecification(value))
      if (this.#name !== undefined) assertName(this.#name)
    } else if (field === 'load') this.#load = parseLoad(value, '#/load')
    return true
  }

  get name(): string | undefined {
    return this.#name
  }

  get hasSpecification(): boolean {
    return this.#specification !== undefined
  }

  /** The specification of a model without weights. */
  complete(): SpecificationRequest {
    return parseComplete(this.#specification ?? {})
  }

  /** What the fields say about weights. */
  get weights(): Omit<WeightsImport, 'parts'> {
    return {
      specification: this.#specification,
      config: this.#values.get('config'),
      preprocessorConfig: this.#values.get('preprocessor_config'),
      load: this.#load,
    }
  }

  assertNoneNeedsWeights(): void {
    const field = FIELDS.find((one) => one !== 'spec' && this.#values.has(one))
    if (field !== undefined) throw fieldError(`#/${field}`, 'needs "weights" after it; send a weights file')
  }
}

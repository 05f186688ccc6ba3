import {
  fieldErrors,
  pointerTo,
  ServiceError,
  shownName,
  type FieldError,
  quoteName,
} from '../common/errors.ts'
import { inferLocated } from './infer-specification.ts'
import type { FileTensor } from './layouts.ts'
import { fullName, isHead, SCHEMES, type FoundTensor, type LocatedNetwork } from './locate-network.ts'
import { planRequest, type Plan } from './plan.ts'

/** What prevents loading. */
export interface Differences {
  readonly missing: FileTensor[]
  readonly shapes: { readonly source: FoundTensor; readonly tensor: FileTensor }[]
  readonly dtypes: FoundTensor[]
  readonly extra: FoundTensor[]
}

interface Located {
  readonly found: readonly FoundTensor[]
  readonly located: LocatedNetwork
}

const MAX_DIFFERENCES = 20

/** The error for a network that the naming scheme of a file has no names for. */
export function namesProblem({ found, located }: Located, problem: string): ServiceError {
  const own = describeOwn({ found, located })
  const cure = own === undefined ? '' : `; ${own}`
  const detail = `has ${nameScheme(located)}, but ${problem}${cure}`
  return fieldErrors([{ pointer: '#/weights', detail }], 'INVALID_WEIGHTS')
}

interface Mismatch extends Located {
  readonly plan: Plan
  readonly differences: Differences
  /** The number of the network's parameters that the file has. */
  readonly matched: number
}

/** The error for a file whose tensors differ from the network: the score, the cure, and at most 20 differences. */
export function mismatchProblem({ found, located, plan, differences, matched }: Mismatch): ServiceError {
  const { missing, shapes, dtypes, extra } = differences
  const total = plan.parameters.length
  const counts = [
    [missing, 'missing'],
    [shapes, 'of another shape'],
    [dtypes, 'of a dtype that is not float'],
    [extra, 'not in the network'],
  ] as const
  const counted = counts.flatMap(([list, text]) =>
    list.length > 0 ? [`${String(list.length)} ${text}`] : [],
  )
  const tried = located.tried.map(([names, count]) => `${SCHEMES[names]} ${String(count)}`).join(', ')
  const listed = listDifferences(located, differences)
  const first = [
    `does not fit the network: ${String(matched)} of ${String(total)} tensors match ${nameScheme(located)}`,
    ...(counted.length > 0 ? [counted.join(', ')] : []),
    `names tried: ${tried}`,
    findCure({ found, located, plan, differences, matched }),
    ...(listed.length > MAX_DIFFERENCES
      ? [`the first ${String(MAX_DIFFERENCES)} of ${String(listed.length)} differences are listed`]
      : []),
  ].join('; ')
  return fieldErrors(
    [{ pointer: '#/weights', detail: first }, ...listed.slice(0, MAX_DIFFERENCES)],
    'INVALID_WEIGHTS',
  )
}

function nameScheme({ names, prefix }: LocatedNetwork): string {
  const after = prefix === '' ? 'without a prefix' : `after the prefix ${quoteName(prefix)}`
  return `the names of ${SCHEMES[names]} ${after}`
}

function listDifferences(located: LocatedNetwork, differences: Differences): FieldError[] {
  const { missing, shapes, dtypes, extra } = differences
  const at = (name: string, detail: string): FieldError => ({
    pointer: pointerTo('#/weights', shownName(name)),
    detail,
  })
  return [
    ...shapes.map(({ source, tensor }) =>
      at(source.name, `must have shape [${tensor.shape.join(', ')}], got [${source.shape.join(', ')}]`),
    ),
    ...dtypes.map(({ name, dtype }) =>
      at(name, `must be F32, F16, BF16 or F64, got ${shownName(dtype)}; quantized weights must be converted`),
    ),
    ...missing.map(({ name, shape }) =>
      at(fullName(located, name), `is missing; [${shape.join(', ')}] is expected`),
    ),
    ...extra.map(({ name }) => at(name, 'is not a parameter of this network')),
  ]
}

/** The field that lets the file load, or the architecture that the file has. */
function findCure({ found, located, plan, differences, matched }: Mismatch): string {
  const { missing, shapes, dtypes, extra } = differences
  if (dtypes.length > 0) return 'tensors must be floating-point'
  const onlyHead =
    shapes.every(({ tensor }) => isHead(tensor.parameter.name)) &&
    missing.every(({ parameter }) => isHead(parameter.name))
  const kernel = located.tensors.get('head/dense/kernel')
  if (onlyHead && extra.length === 0 && matched > 2) {
    const bias = shapes.find(({ tensor }) => tensor.parameter.name.endsWith('/bias'))?.source.shape[0]
    const own =
      kernel && bias !== undefined ? `"classes": ${String(bias)} takes the file's dense layer, and ` : ''
    return `${own}"load": {"missing": "initialize"} draws a new one`
  }
  const own = describeOwn({ found, located }, plan)
  if (own !== undefined) return own
  const options = {
    ...(missing.length > 0 && { missing: 'initialize' }),
    ...(extra.length > 0 && { extra: 'ignore' }),
  }
  if (shapes.length === 0 && matched > 2) {
    const effect = missing.length > 0 ? 'draws what is missing' : 'ignores other tensors'
    return `"load": ${JSON.stringify(options)} ${effect}`
  }
  return '"spec" must describe the architecture of the file'
}

/** What the file's tensors are, if that is another network than the plan's. */
function describeOwn({ found, located }: Located, plan?: Plan): string | undefined {
  try {
    const request = inferLocated(found, located)
    const bodyOf = ({ parameters }: Plan): string =>
      parameters.map(({ name, shape }) => (isHead(name) ? '' : `${name} ${shape.join()}`)).join()
    if (
      plan &&
      bodyOf(planRequest({ ...request, preprocessing: 'none' }, Number.MAX_SAFE_INTEGER)) === bodyOf(plan)
    )
      return undefined
    const { architecture } = request
    return typeof architecture === 'string'
      ? `the file's tensors are those of "architecture": ${JSON.stringify(architecture)}`
      : 'without "architecture" in "spec", it is inferred from the file\'s tensors'
  } catch (error) {
    if (error instanceof ServiceError) return error.message.replace(/^#\/weights /, 'the file ')
    throw error
  }
}

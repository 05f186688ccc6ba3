import type { PbfWriter } from 'pbf'

/** A resource variable of the graph by its nodes. */
export interface VariableDef {
  readonly handle: string
  readonly assign: string
  readonly read: string
}

/**
 * An entry of MetaGraphDef.collection_def with serialized VariableDefs (`variable.proto`), from which Python makes
 * variable objects.
 */
export function writeVariableCollection(variables: readonly VariableDef[], pbf: PbfWriter): void {
  // Python restores the collection `variables` from a checkpoint, which an initialized model does not have.
  pbf.writeStringField(1, 'local_variables')
  pbf.writeMessage(2, writeCollection, variables)
}

/** CollectionDef.bytes_list. */
function writeCollection(variables: readonly VariableDef[], pbf: PbfWriter): void {
  pbf.writeMessage(2, writeBytesList, variables)
}

function writeBytesList(variables: readonly VariableDef[], pbf: PbfWriter): void {
  // A message has the encoding of a bytes field with its serialization.
  for (const variable of variables) pbf.writeMessage(1, writeVariable, variable)
}

function writeVariable({ handle, assign, read }: VariableDef, pbf: PbfWriter): void {
  pbf.writeStringField(1, `${handle}:0`)
  pbf.writeStringField(2, assign)
  pbf.writeStringField(3, `${read}:0`)
  pbf.writeBooleanField(5, true)
  pbf.writeBooleanField(7, true)
}

import { type ServiceError, invalidWeights } from '../../common/errors.ts'

export const SAVE_STATE_DICT = 'save a state_dict: torch.save(model.state_dict(), path)'

export function damagedPytorch(reason: string): ServiceError {
  return invalidWeights(`is a damaged PyTorch file: ${reason}; send the complete file`)
}

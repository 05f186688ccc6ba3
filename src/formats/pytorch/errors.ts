import { fieldError, type ServiceError } from '../../common/errors.ts'

export const SAVE_STATE_DICT = 'save a state_dict: torch.save(model.state_dict(), path)'

export function damagedPytorch(reason: string): ServiceError {
  return invalidPytorch(`is a damaged PyTorch file: ${reason}; send the complete file`)
}

export function invalidPytorch(detail: string): ServiceError {
  return fieldError('#/weights', detail, 'INVALID_WEIGHTS')
}

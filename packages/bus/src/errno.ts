/** Results that kernel functions return instead of throwing: negative errno numbers. */
export const EINTR = 4;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EINVAL = 22;
export const EOVERFLOW = 75;

// What a ratio is held against.
export const atLeast = (limit) => ({ goal: `>= ${limit}`, holds: (value) => value >= limit });
export const atMost = (limit) => ({ goal: `<= ${limit}`, holds: (value) => value <= limit });
export const context = { goal: "-", holds: () => true };

// Mistakes in the bus, and the tests that are to catch each. Those with a driver are caught by what its author runs.
import { hmm, kvm, tested } from "./entry.mjs";

const dist = (name) => `bus/dist/${name}.js`;
const REFERENCE = "packages/bus/test/against-reference.test.ts";
const EDGES = "packages/bus/test/edges.test.ts";
const LIFETIMES = "packages/bus/test/lifetimes.test.ts";
const START_END = "packages/bus/test/start-end.test.ts";
const REGISTRATION = "packages/bus/test/registration.test.ts";
const INTERVALS = "packages/bus/test/interval-notifiers.test.ts";
const STREAM = "packages/bus/test/notification-stream.test.ts";
const OPERATORS = "packages/bus/test/operators";

const bus = (name, tests) => (says, find, replace) => tested(tests, dist(name), says, find, replace);
const unwind = bus("unwind", REFERENCE);
const calls = (tests) => bus("calls", tests);
const list = (tests) => bus("list-delivery", tests);
const walk = (tests) => bus("walk", tests);
const release = (tests) => bus("release", tests);
const registration = (tests) => bus("registration", tests);
const subscriptions = (tests) => bus("subscriptions", tests);
const tree = (tests) => bus("interval-tree", tests);
const delivery = (tests) => bus("interval-delivery", tests);
const intervals = (tests) => bus("interval-notifiers", tests);
const callbacks = (tests) => bus("srcu-callbacks", tests);
const operator = (name) => bus(`operators/${name}`, OPERATORS);

export const BUS = [
  // A start that somebody refused
  unwind("after a refusal everybody is told the end of UNMAP", "ONLY_END_SLOT + event", "ONLY_END_SLOT"),
  unwind(
    "after a refusal the ends are a byte short",
    "mm, start, end, refused.event",
    "mm, start, end - 1, refused.event",
  ),
  bus("unwind", EDGES)("after a refusal the ends may not sleep", "ends.unwinding = true;", ""),
  unwind("after a refusal nobody is told an end", "if (first !== NOBODY_LEFT) {", "if (false) {"),
  unwind("after a refusal an error in an end is lost", "refused.unclaimed ??= ends.unclaimed;", ""),
  unwind("after a refusal the SRCU lock stays held", "    yield list.unlock(entered);", ""),
  calls(START_END)("a refusal is forgotten", "path.ret = -EAGAIN;", ";"),
  calls(EDGES)(
    "a refused blockable start undoes the intervals",
    "path.ret !== 0 && path.viaIntervals",
    "path.viaIntervals",
  ),
  calls(EDGES)(
    "a refusal undoes intervals that there were not",
    "path.ret !== 0 && path.viaIntervals",
    "path.ret !== 0",
  ),
  calls(INTERVALS)(
    "the list is asked although an interval refused",
    "if (path.ret !== 0)\n            return NOBODY;",
    "",
  ),
  list(START_END)("refusals are not counted", "main.refusals++;", ""),
  list(EDGES)("any end counts as the end of the event", '& ALL_ENDS & interestBit("end", main.event)', "& ALL_ENDS"),
  // Calls
  kvm(
    "end tells nobody",
    dist("calls"),
    "const slot = (onlyEnd ? ONLY_END_SLOT : END_SLOT) + this.#eventIndex(event);",
    "return (function* () {})();",
  ),
  calls(START_END)("only_end calls the hook as well", "(onlyEnd ? ONLY_END_SLOT : END_SLOT)", "END_SLOT"),
  calls(START_END)("start does not write BLOCKABLE into the range", "setBlockable(range, blockable);", ""),
  calls(EDGES)(
    "a watched blockable start does not check whether it may sleep",
    "enterStep(START, blockable, (task)",
    "enterStep(START, false, (task)",
  ),
  calls(EDGES)(
    "the hook checks whether it may sleep",
    "this.#enterStep(mm, slot, name, false)",
    "this.#enterStep(mm, slot, name, true)",
  ),
  hmm("an interval's invalidation never ends", dist("calls"), "this.#intervals.invEnd(head);", ""),
  hmm(
    "start passes the intervals by",
    dist("calls"),
    "if (subscriptions.hasItree(head))\n            return this.#intervals.invStart(head, start, end);",
    "",
  ),
  // The walk over the list
  list(REFERENCE)("a walk that comes to its end keeps the SRCU lock", "srcuUnlock[counter].run(task);", ""),
  list(REFERENCE)(
    "a walk that refusals follow drops the SRCU lock",
    "if (keepLocked)\n                return NOBODY_LEFT;",
    "",
  ),
  list(REFERENCE)(
    "an error is attributed to everybody after",
    "delivery.attention = true;\n            this.#thrown = undefined;",
    "delivery.attention = true;",
  ),
  list(EDGES)("a notification can be answered after the bus went on", "delivery.close();", ""),
  walk(START_END)(
    "after the work of its hook a subscription is not told the end",
    "twin !== undefined && twin.row === row",
    "false",
  ),
  walk(START_END)("only the first piece of work is done", "if (this.#delivery.hasWork) {", "if (false) {"),
  walk(START_END)(
    "non-blockable callbacks may sleep",
    "delivery.blockable || delivery.unwinding ? undefined : NON_BLOCK",
    "undefined",
  ),
  walk(START_END)("the hook may sleep", "return ATOMIC;", "return undefined;"),
  walk(EDGES)(
    "test_young asks on after work that said yes",
    '(main.phase === "test-young" && main.young !== 0)',
    "false",
  ),
  walk(REFERENCE)("a walk drops the other SRCU counter", "this.#counter = entered & 1;", "this.#counter = 0;"),
  bus("guarded-work", EDGES)("work that is a Promise is taken for a path", "checkPath(this.#path);", ""),
  bus("guarded-work", EDGES)(
    "work of a hundred steps is taken to be endless",
    "if (++this.#steps > MOST_STEPS) {",
    "if (++this.#steps > 100) {",
  ),
  bus("notification", REFERENCE)("who acts is remembered for the next", "this.attention = false;", ""),
  // Registration and release
  registration(REGISTRATION)("registration takes no reference to the mm", "this.#state.handle(mm).grab();", ""),
  registration(REGISTRATION)(
    "registration goes on without all locks",
    "const error = yield* handle.takeAllLocks();\n        if (error !== 0)",
    "const error = yield* handle.takeAllLocks();\n        if (false)",
  ),
  registration(REGISTRATION)("registration keeps all locks", "yield* handle.dropAllLocks();", ""),
  registration(REGISTRATION)(
    "a kernel that refuses mixed ops takes them",
    "rules.rejectsMixedOps && hook",
    "false && hook",
  ),
  registration(REGISTRATION)("get does not count its user", "subscriptions.setUsers(at, users + 1);", ""),
  registration(REGISTRATION)("get counts users over their end", "if (users === USERS_MAX)", "if (false)"),
  registration(LIFETIMES)(
    "get takes the subscription of other ops",
    "if (subscriptions.ops(at) !== ops)",
    "if (false)",
  ),
  registration(REGISTRATION)(
    "unregister does not call release",
    "unclaimed = yield* releaseOne(this.#delivery, entered, mm);",
    "",
  ),
  registration(REGISTRATION)(
    "unregister leaves the subscription on the list",
    "if (!unhashesFirst)\n                yield unhash;",
    "",
  ),
  registration(LIFETIMES)("unregister without a grace period", "yield* srcu.synchronize();", ""),
  registration(LIFETIMES)(
    "a row that a reader stands on is given away",
    "if (srcu.active || this.#delivery.calling)",
    "if (false)",
  ),
  release(LIFETIMES)("release without a grace period", "yield* srcu.synchronize();", ""),
  release(REGISTRATION)("release tells nobody on the list", "if (listed !== NOBODY) {", "if (false) {"),
  release(REFERENCE)("release tells the first alone", "if (index < callbacks.length)", "if (false)"),
  release(REFERENCE)("release's window of the intervals never ends", "yield intervals.invEndStep(mm);", ""),
  hmm("release tells no interval", dist("release"), "if (entered < 0) {", "if (false) {"),
  // What was put
  callbacks(REGISTRATION)("any put is the last", "if (users > 1)\n                return 0;", ""),
  callbacks(LIFETIMES)(
    "a put forgets the puts before",
    "subscriptions.setNextToFree(subscription, this.#callbacks.i32[this.#callbacksAt]);",
    "",
  ),
  callbacks(LIFETIMES)(
    "what was put is freed under its readers",
    "const { subscriptions, srcu } = this.#state;\n        yield* srcu.synchronize();",
    "const { subscriptions } = this.#state;",
  ),
  callbacks(REGISTRATION)("what was put keeps its mm", "this.#state.handle(mm).drop();", ""),
  // The list
  subscriptions(START_END)(
    "who joins cuts the others off",
    "i32[row * SUBSCRIPTION_WORDS + NEXT] = this.first(head);",
    "",
  ),
  subscriptions(START_END)(
    "what who joins wants is not known",
    "SUBSCRIPTIONS_WORDS + FIRST] = row;\n        this.#sumInterest(head);",
    "SUBSCRIPTIONS_WORDS + FIRST] = row;",
  ),
  subscriptions(REFERENCE)(
    "who leaves from the head takes the others along",
    "this.heads.i32[head * SUBSCRIPTIONS_WORDS + FIRST] = next;",
    "this.heads.i32[head * SUBSCRIPTIONS_WORDS + FIRST] = 0;",
  ),
  subscriptions(REGISTRATION)("who left counts as on the list", "i32[row * SUBSCRIPTION_WORDS + HASHED] = 0;", ""),
  // Intervals
  tree(INTERVALS)(
    "of two intervals that start at one byte the later comes first",
    "this.start(at) <= start",
    "this.start(at) < start",
  ),
  tree(REFERENCE)("the last byte of an interval is outside", "this.last(at) >= start", "this.last(at) > start"),
  tree(REFERENCE)("the byte after a range is inside", "this.start(at) < end;", "this.start(at) <= end;"),
  tree(INTERVALS)(
    "what waits to be removed is inserted again",
    "if (this.isInTree(at))\n                this.remove(head, at);\n            else\n                this.insert(head, at);",
    "if (!this.isInTree(at)) this.insert(head, at);",
  ),
  tree(EDGES)(
    "an interval that was taken back counts as waiting",
    "this.rows.i32[interval * WORDS + DEFERRED] = 0;",
    "",
  ),
  delivery(INTERVALS)("a start is not counted", "subscriptions.addActive(head, 1);", ""),
  delivery(INTERVALS)("a hit leaves the sequence even", "seq |= 1;", ""),
  delivery(EDGES)("the sequence does not wrap", "(seq + 1) & this.#mask", "seq + 1"),
  delivery(INTERVALS)("what was deferred stays so", "this.tree.settle(head);", ""),
  delivery(INTERVALS)("a new interval has the mm's own sequence", "(seq - 1) & this.#mask", "seq & this.#mask"),
  delivery(INTERVALS)("a refused start is not undone", "yield this.invEndStep(range.mm);", ""),
  intervals(INTERVALS)(
    "insert does not look whether it fits",
    "length === 0 || start + length > ULONG_MAX",
    "length === 0",
  ),
  intervals(REFERENCE)("insert takes no reference to the mm", "handle.grab();", ""),
  intervals(INTERVALS)("remove does not wait for the end", "if (waitFor !== 0)", "if (false)"),
  intervals(INTERVALS)("read_begin does not wait for the end", "if (invalidating !== 0)", "if (false)"),
  intervals(EDGES)("insert_locked without the lock", "yield this.#registration.assertMmapWriteLocked(mm);", ""),
  // Interest and operators
  bus("interest", STREAM)(
    "a filter is one-sided",
    "(1 << (START_BIT + eventIndex(event))) | (1 << (END_BIT + eventIndex(event)))",
    "1 << (START_BIT + eventIndex(event))",
  ),
  operator("narrow")("a late filter passes everything", "(interestBit(n.phase, n.event) & interest) !== 0", "true"),
  operator("owner")("owner 0 is somebody", "owner !== 0 && ", ""),
  operator("except-owner")("except is only", "!isOwnedBy(n, owner)", "isOwnedBy(n, owner)"),
  operator("clipped-to")(
    "a range that touches the window is passed",
    "filter((n) => Math.max(n.start, start) < Math.min(n.end, end))",
    "filter((n) => Math.max(n.start, start) <= Math.min(n.end, end))",
  ),
  operator("aligned-to")(
    "the end is rounded down",
    "Math.ceil(n.end / size) * size",
    "Math.floor(n.end / size) * size",
  ),
  operator("coalesced")("address spaces are joined", "pending.mm === n.mm &&", "true &&"),
  operator("coalesced")("ranges that touch are not joined", "n.start <= pending.end", "n.start < pending.end"),
  operator("pair-start-end")("an end is paired with the first start", "open.findLastIndex", "open.findIndex"),
  operator("pair-start-end")("an end is paired with another owner's start", "&& s.owner === n.owner", ""),
  operator("reshape")("a reshaped notification has lost its flags", "this.flags = origin.flags;", ""),
  operator("cost-meter")("markers are counted as steps", "if (!isMarker(next.value))", ""),
];

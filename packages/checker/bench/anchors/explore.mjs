// Stateful explorer prototypes over the same transition system as spin/mmu.pml. usage: node explore.mjs NC ND NP K M variant [notify=1] [kill=1] [maxlog2]
const [
  ,
  ,
  NCs = "2",
  NDs = "2",
  NPs = "2",
  Ks = "1",
  Ms = "1",
  variant = "packed",
  notifyS = "1",
  killS = "1",
  LG = "24",
] = process.argv;
const NC = +NCs,
  ND = +NDs,
  NP = +NPs,
  K = +Ks,
  M = +Ms,
  NOTIFY = +notifyS,
  KILL = +killS;
// ---- byte layout
let off = 0;
const al = (n) => {
  const o = off;
  off += n;
  return o;
};
const fields = []; // [byte offset, bits]
const F = (n, bits) => {
  const o = al(n);
  for (let i = 0; i < n; i++) fields.push([o + i, bits]);
  return o;
};
const lg = (x) => Math.max(1, Math.ceil(Math.log2(x + 1)));
const PTE = F(NP, 2),
  PTL = F(1, 1),
  TLB = F(ND * NP, 2),
  OPN = F(NP, 1),
  WP = F(ND, lg(NP)),
  KIL = F(ND, 1),
  RESP = F(ND, 1),
  DONE = F(NC + 1, 1),
  QN = F(1, 3),
  Q = F(4, 1 + lg(Math.max(NC, NP - 1))),
  PN = F(1, lg(ND)),
  PRQ = F(ND, lg(ND - 1) + lg(NP - 1));
const FA = al(0);
for (let i = 0; i < NC; i++) {
  F(1, 3);
  F(1, lg(ND - 1));
  F(1, lg(NP - 1));
  F(1, 1);
}
const WR = F(1, 3);
const WRP = F(1, lg(NP - 1)),
  WRK = F(1, lg(K));
const DV = al(0);
for (let i = 0; i < ND; i++) {
  F(1, 3);
  F(1, lg(NP - 1));
  F(1, 2);
  F(1, lg(M));
}
const PSH = lg(NP - 1),
  ASH = lg(Math.max(NC, NP - 1)),
  AM = (1 << ASH) - 1,
  PM = (1 << PSH) - 1;
const BYTES = (off + 3) & ~3,
  WORDS = BYTES >> 2;
const bits = fields.reduce((a, f) => a + f[1], 0);
const buf = new ArrayBuffer(BYTES * 2);
const s = new Uint8Array(buf, 0, BYTES),
  t = new Uint8Array(buf, BYTES, BYTES);
const s32 = new Int32Array(buf, 0, WORDS),
  t32 = new Int32Array(buf, BYTES, WORDS);
for (let i = 0; i < NP; i++) s[PTE + i] = 1;
let bad = 0;
// ---- transition relation: apply(tr) on t (t is a copy of s). enumerates via index; returns after calling emit for each successor
function cp() {
  for (let i = 0; i < WORDS; i++) t32[i] = s32[i];
}
function succ(emit) {
  let en = 0;
  for (let c = 0; c < NC; c++) {
    const b = FA + 4 * c;
    switch (s[b]) {
      case 0:
        if (s[PN] > 0) {
          cp();
          const x = s[PRQ];
          for (let i = 1; i < ND; i++) t[PRQ + i - 1] = s[PRQ + i];
          t[PRQ + ND - 1] = 0;
          t[PN]--;
          t[b] = 1;
          t[b + 1] = x >> PSH;
          t[b + 2] = x & PM;
          emit();
          en++;
        }
        break;
      case 1:
        if (s[PTL] === 0) {
          cp();
          t[PTL] = 1;
          t[b] = 2;
          emit();
          en++;
        }
        break;
      case 2:
        cp();
        if (s[PTE + s[b + 2]] < 2) {
          t[PTE + s[b + 2]] = 2;
          t[b + 3] = 1;
        }
        t[b] = 3;
        emit();
        en++;
        break;
      case 3:
        cp();
        t[PTL] = 0;
        t[b] = 4;
        emit();
        en++;
        break;
      case 4:
        if (NOTIFY && s[b + 3]) {
          if (s[QN] < 4) {
            cp();
            t[Q + s[QN]] = s[b + 2];
            t[QN]++;
            t[b] = 5;
            emit();
            en++;
          }
        } else {
          cp();
          t[RESP + s[b + 1]] = 1;
          t[b] = t[b + 1] = t[b + 2] = t[b + 3] = 0;
          emit();
          en++;
        }
        break;
      case 5:
        if (s[QN] < 4) {
          cp();
          t[Q + s[QN]] = (1 << ASH) | c;
          t[QN]++;
          t[b] = 6;
          emit();
          en++;
        }
        break;
      case 6:
        if (s[DONE + c]) {
          cp();
          t[DONE + c] = 0;
          t[RESP + s[b + 1]] = 1;
          t[b] = t[b + 1] = t[b + 2] = t[b + 3] = 0;
          emit();
          en++;
        }
        break;
    }
  }
  switch (s[WR]) {
    case 0:
      if (s[WRK] < K)
        for (let p = 0; p < NP; p++) {
          cp();
          t[WRP] = p;
          t[WR] = 1;
          emit();
          en++;
        }
      break;
    case 1:
      if (s[PTL] === 0) {
        cp();
        t[PTL] = 1;
        t[WR] = 2;
        emit();
        en++;
      }
      break;
    case 2:
      cp();
      t[PTE + s[WRP]] = 1;
      t[OPN + s[WRP]]++;
      t[WR] = 3;
      emit();
      en++;
      break;
    case 3:
      cp();
      t[PTL] = 0;
      t[WR] = 4;
      emit();
      en++;
      break;
    case 4:
      if (s[QN] < 4) {
        cp();
        t[Q + s[QN]] = s[WRP];
        t[QN]++;
        t[WR] = 5;
        emit();
        en++;
      }
      break;
    case 5:
      if (s[QN] < 4) {
        cp();
        t[Q + s[QN]] = (1 << ASH) | NC;
        t[QN]++;
        t[WR] = 6;
        emit();
        en++;
      }
      break;
    case 6:
      if (s[DONE + NC]) {
        cp();
        t[DONE + NC] = 0;
        t[OPN + s[WRP]]--;
        t[WRP] = 0;
        t[WRK]++;
        t[WR] = 0;
        emit();
        en++;
      }
      break;
  }
  for (let d = 0; d < ND; d++) {
    const b = DV + 4 * d,
      p = s[b + 1],
      e = TLB + d * NP + p;
    switch (s[b]) {
      case 0:
        if (s[b + 3] < M)
          for (let q = 0; q < NP; q++) {
            cp();
            t[b + 1] = q;
            t[b] = 1;
            emit();
            en++;
          }
        break;
      case 1:
        cp();
        if (s[e] === 2) {
          if (!(s[PTE + p] === 2 || s[OPN + p] > 0)) bad++;
          t[b + 3]++;
          t[b + 1] = 0;
          t[b] = 0;
        } else if (s[e] === 1) t[b] = 4;
        else {
          t[WP + d] = p + 1;
          t[KIL + d] = 0;
          t[b] = 2;
        }
        emit();
        en++;
        break;
      case 2:
        cp();
        t[b + 2] = s[PTE + p];
        t[b] = 3;
        emit();
        en++;
        break;
      case 3:
        cp();
        if (!KILL || !s[KIL + d]) t[e] = s[b + 2];
        t[WP + d] = 0;
        t[KIL + d] = 0;
        t[b + 2] = 0;
        t[b] = 1;
        emit();
        en++;
        break;
      case 4:
        cp();
        t[PRQ + s[PN]] = (d << PSH) | p;
        t[PN]++;
        t[b] = 5;
        emit();
        en++;
        break;
      case 5:
        if (s[RESP + d]) {
          cp();
          t[RESP + d] = 0;
          t[b] = 1;
          emit();
          en++;
        }
        break;
    }
  }
  if (s[QN] > 0) {
    cp();
    const x = s[Q];
    t[Q] = s[Q + 1];
    t[Q + 1] = s[Q + 2];
    t[Q + 2] = s[Q + 3];
    t[Q + 3] = 0;
    t[QN]--;
    if (x >> ASH) t[DONE + (x & AM)] = 1;
    else {
      const a = x & AM;
      for (let d = 0; d < ND; d++) {
        t[TLB + d * NP + a] = 0;
        if (s[WP + d] === a + 1) t[KIL + d] = 1;
      }
    }
    emit();
    en++;
  }
  return en;
}
const cpu = () => {
  const u = process.cpuUsage();
  return (u.user + u.system) / 1e6;
};
function report(name, n, tr, t0, mem, extra = "") {
  const dt = cpu() - t0;
  console.log(
    `JS ${process.version} ${name} NC=${NC} ND=${ND} NP=${NP} K=${K} M=${M} notify=${NOTIFY} kill=${KILL}: states=${n} trans=${tr} bad=${bad} cpu=${dt.toFixed(2)}s ${(n / dt / 1e3).toFixed(0)} kst/s ${(tr / dt / 1e6).toFixed(2)} Mtr/s tables=${(mem / 1048576).toFixed(0)}MiB (${(mem / n).toFixed(0)} B/st cap) rss=${(process.memoryUsage().rss / 1048576).toFixed(0)}MiB ${extra}`,
  );
}
if (variant === "map") {
  // naive: string keys in a Set, queue of copies
  const seen = new Set();
  const key = (x) => String.fromCharCode.apply(null, x);
  const t0 = cpu();
  let q = [s.slice()],
    tr = 0;
  seen.add(key(s));
  for (let h = 0; h < q.length; h++) {
    s.set(q[h]);
    q[h] = null;
    succ(() => {
      tr++;
      const k = key(t);
      if (!seen.has(k)) {
        seen.add(k);
        q.push(t.slice());
      }
    });
  }
  report("map", seen.size, tr, t0, 0);
} else if (variant === "json") {
  const seen = new Set();
  const t0 = cpu();
  let q = [Array.from(s)],
    tr = 0;
  seen.add(JSON.stringify(q[0]));
  for (let h = 0; h < q.length; h++) {
    s.set(q[h]);
    q[h] = null;
    succ(() => {
      tr++;
      const a = Array.from(t);
      const k = JSON.stringify(a);
      if (!seen.has(k)) {
        seen.add(k);
        q.push(a);
      }
    });
  }
  report("json", seen.size, tr, t0, 0);
} else {
  // packed / unpacked / hc : open addressing on Int32
  let PW, pack, unpack;
  if (variant === "unpacked") {
    PW = WORDS;
  } else {
    // generated pack/unpack
    PW = Math.ceil(bits / 32) + 0;
    let w = 0,
      b = 0;
    const pk = [],
      up = [];
    let plan = [];
    for (const [o, bt] of fields) {
      if (b + bt > 32) {
        w++;
        b = 0;
      }
      plan.push([o, bt, w, b]);
      b += bt;
    }
    PW = w + 1;
    let ps = "",
      us = "";
    for (let i = 0; i < PW; i++) {
      const fs = plan.filter((x) => x[2] === i);
      ps += `o[${i}]=${fs.map((x) => `(t[${x[0]}]<<${x[3]})`).join("|")};`;
      us += `{const v=st[a+${i}];${fs.map((x) => `s[${x[0]}]=(v>>>${x[3]})&${(1 << x[1]) - 1};`).join("")}}`;
    }
    pack = new Function("t", "o", ps);
    unpack = new Function("st", "a", "s", us);
  }
  const CAP = 1 << +LG,
    MASK = CAP - 1;
  const tab = new Int32Array(CAP);
  let scap = 1 << 20;
  let st = new Int32Array(scap * PW),
    par = new Int32Array(scap);
  let n = 0,
    tr = 0;
  const o = new Int32Array(PW);
  const doPack = pack
    ? () => pack(t, o)
    : () => {
        for (let i = 0; i < WORDS; i++) o[i] = t32[i];
      };
  let cur = -1;
  let dead = 0;
  function emit() {
    tr++;
    doPack();
    let h = 0x9e3779b9 | 0;
    for (let i = 0; i < PW; i++) {
      h = Math.imul(h ^ o[i], 0x85ebca6b);
      h ^= h >>> 13;
    }
    h = Math.imul(h, 0xc2b2ae35);
    h ^= h >>> 16;
    let p = h & MASK;
    for (;;) {
      const id = tab[p];
      if (id === 0) break;
      const a = (id - 1) * PW;
      let i = 0;
      while (i < PW && st[a + i] === o[i]) i++;
      if (i === PW) return;
      p = (p + 1) & MASK;
    }
    if (n === scap) {
      scap *= 2;
      const z = new Int32Array(scap * PW);
      z.set(st);
      st = z;
      const y = new Int32Array(scap);
      y.set(par);
      par = y;
    }
    const a = n * PW;
    for (let i = 0; i < PW; i++) st[a + i] = o[i];
    par[n] = cur;
    n++;
    tab[p] = n;
  }
  const t0 = cpu();
  cp();
  emit();
  tr = 0;
  for (cur = 0; cur < n; cur++) {
    if (unpack) unpack(st, cur * PW, s);
    else for (let i = 0; i < WORDS; i++) s32[i] = st[cur * PW + i];
    succ(emit);
  }
  report(
    variant,
    n,
    tr,
    t0,
    (st.byteLength * n) / scap + (par.byteLength * n) / scap + tab.byteLength,
    `PW=${PW} bits=${bits} bytes=${off}`,
  );
}

/* Anchor of `npm run bench`: two levels of TLB and a radix tree in C, one int32 an access; the same layout as src/tlb/tlb-replay.ts. */
// 32-bit packed key core (region<<21|page20<<1|w), same layout as JS D2
#include <stdint.h>
#ifndef MAXN
#define MAXN 2600
#endif
static int32_t l1[64], l2[128*16], regRoot[2048], *ptp; static int32_t pt[MAXN*1024]; static int nn=1,pfn; static uint32_t c1,c2,cw,cf,cu;
static inline void fill1(int s1,int e){ l1[s1+3]=l1[s1+2];l1[s1+2]=l1[s1+1];l1[s1+1]=l1[s1];l1[s1]=e; }
static int upg(uint32_t tag,int s1,int s2){ int i,r=0; for(i=0;i<12;i++) if(((uint32_t)l2[s2+i]>>1)==tag){ for(;i<11;i++)l2[s2+i]=l2[s2+i+1]; l2[s2+11]=0; r=1; break; }
 for(i=0;i<4;i++) if(((uint32_t)l1[s1+i]>>1)==tag){ for(;i<3;i++)l1[s1+i]=l1[s1+i+1]; l1[s1+3]=0; break; } return r; }
static __attribute__((noinline)) void slow(int key){ int w=key&1; uint32_t tag=(uint32_t)key>>1; int s1=(tag&15)<<2,s2=(tag&127)<<4,k1=key|1,e; int carry=l2[s2]; if(carry==key||carry==k1){c2++;fill1(s1,carry);return;}
 for(int i=1;i<12;i++){ e=l2[s2+i]; l2[s2+i]=carry; if(e==key||e==k1){c2++;l2[s2]=e;fill1(s1,e);return;} carry=e; }
 l2[s2]=0; cw++; int ev=carry; int reg=(uint32_t)key>>21; int nd=regRoot[reg]; if(!nd){nd=nn++;regRoot[reg]=nd;} int a=(nd<<10)|((tag>>10)&1023); nd=pt[a]; if(!nd){nd=nn++;pt[a]=nd;} a=(nd<<10)|(tag&1023); int p=pt[a];
 if(!p){cf++;p=(++pfn<<2)|1|(w<<1);pt[a]=p;} else if(w&&!(p&2)){cu++;p|=2;pt[a]=p; if(upg(tag,s1,s2))l2[s2+11]=ev;}
 e=(tag<<1)|((p>>1)&1); l2[s2]=e; fill1(s1,e); }
static inline void acc(int key){ int k1=key|1,s=(key<<1)&60; int a=l1[s]; if(a==key||a==k1){c1++;return;} int b=l1[s+1]; if(b==key||b==k1){c1++;l1[s+1]=a;l1[s]=b;return;}
 int c=l1[s+2]; if(c==key||c==k1){c1++;l1[s+2]=b;l1[s+1]=a;l1[s]=c;return;} int d=l1[s+3]; if(d==key||d==k1){c1++;l1[s+3]=c;l1[s+2]=b;l1[s+1]=a;l1[s]=d;return;} slow(key); }
